//! Connections at MCP servers under faults: restarts, answers that fail, and registrations that are gone.

use causeway_flow::connection::coalesce::AskedBy;
use causeway_flow::connection::mcp::Need;
use causeway_testkit::Fault;
use futures_util::future::try_join_all;

use crate::support::mcp::McpScene;
use crate::support::on_each_database;

on_each_database! {
    /// After a restart with an expired access token and a live refresh token, nothing but the token endpoint is asked: no
    /// metadata, no registration, no authorization.
    async fn a_restart_needs_no_browser(database) {
        let scene = McpScene::set(database).await?;
        scene.connect().await?;
        let restarted = scene.beside(database).await?;
        scene.app.clock.advance(2 * 3600);
        scene.mcp.expire_access_tokens();
        scene.mcp.forget();
        let answer = scene.call_at(&restarted, "tools/list").await??;
        assert_eq!(answer.status(), 200);
        let asked: Vec<_> = scene.mcp.all_seen().iter().map(|seen| seen.endpoint).collect();
        assert_eq!(asked, ["token", "mcp"]);
        Ok(())
    }

    /// 50 calls at once with an expired token make one refresh.
    async fn parallel_calls_make_one_refresh(database) {
        let scene = McpScene::set(database).await?;
        scene.connect().await?;
        scene.app.clock.advance(2 * 3600);
        scene.mcp.expire_access_tokens();
        scene.mcp.forget();
        let answers = try_join_all((0..50).map(|_| scene.call("tools/list"))).await?;
        for answer in answers {
            assert_eq!(answer?.status(), 200);
        }
        assert_eq!(scene.mcp.seen("token").len(), 1);
        Ok(())
    }

    /// A token endpoint that fails for a moment costs nothing, and one that does not know us any more ends no connection.
    async fn failures_of_the_token_endpoint_end_nothing(database) {
        let scene = McpScene::set(database).await?;
        scene.connect().await?;
        for fault in [Fault::Status(503), Fault::Html, Fault::Error(401, "invalid_client")] {
            scene.app.clock.advance(2 * 3600);
            scene.mcp.script(|script| script.token = fault);
            assert!(scene.call("tools/list").await?.is_err());
            scene.mcp.script(|script| script.token = Fault::None);
            scene.app.clock.advance(3600);
            scene.works().await?;
        }
        Ok(())
    }

    /// Connections that nobody finished leave nothing that keeps others from connecting, whatever the time.
    async fn abandoned_flows_end(database) {
        let scene = McpScene::set(database).await?;
        let abandoned = scene.prompt(Need::Connection, AskedBy::Itself).await?;
        scene.leave(&abandoned).await?;
        let joined = scene.prompt(Need::Connection, AskedBy::Itself).await?;
        assert_eq!(joined.connect_session_id, abandoned.connect_session_id, "the user is at the provider");
        scene.app.clock.advance(900);
        let next = scene.prompt(Need::Connection, AskedBy::Itself).await?;
        assert_ne!(next.connect_session_id, abandoned.connect_session_id);
        assert!(next.may_open);
        assert_eq!(scene.finish(&next).await?.status, 200);
        Ok(())
    }
}
