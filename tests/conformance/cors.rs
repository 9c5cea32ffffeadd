//! CORS: endpoints that scripts of other origins may call.

use crate::support::{Scene, on_each_database};

const ORIGIN: &str = "https://app.example";

on_each_database! {
    /// A browser asks before it sends `DPoP` and `Authorization`, and reads what a client has to react to.
    async fn scripts_reach_the_endpoints(database) {
        let scene = Scene::set(database).await?;
        for (path, method) in [
            ("/oauth/token", "POST"),
            ("/oauth/par", "POST"),
            ("/oauth/revoke", "POST"),
            ("/oauth/register", "POST"),
            ("/oauth/userinfo", "GET"),
            ("/api/session", "GET"),
            ("/graphql", "POST"),
            ("/xrpc/com.atproto.server.getSession", "GET"),
            ("/xrpc/com.atproto.repo.createRecord", "POST"),
            ("/.well-known/oauth-authorization-server", "GET"),
            ("/oauth/jwks", "GET"),
        ] {
            let url = scene.app.at(path);
            let preflight = scene.agent.request("OPTIONS".parse()?, &url).header("origin", ORIGIN);
            let preflight = preflight
                .header("access-control-request-method", method)
                .header("access-control-request-headers", "authorization,dpop,content-type");
            let answer = scene.agent.send(preflight).await?;
            assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, "*"), "{path}");
            assert!(answer.header("access-control-allow-methods").contains(method), "{path}");
            for name in ["authorization", "dpop", "content-type"] {
                assert!(answer.header("access-control-allow-headers").contains(name), "{path} {name}");
            }
            let method = method.parse()?;
            let answer = scene.agent.send(scene.agent.request(method, &url).header("origin", ORIGIN)).await?;
            assert_eq!(answer.header("access-control-allow-origin"), "*", "{path} {answer:?}");
            assert_eq!(answer.header("access-control-allow-credentials"), "", "{path}");
            let exposed = answer.header("access-control-expose-headers").to_ascii_lowercase();
            for name in ["dpop-nonce", "www-authenticate", "retry-after", "x-request-id"] {
                assert!(exposed.contains(name), "{path} {name}");
            }
        }
        Ok(())
    }

    /// Pages that depend on a cookie are not readable by scripts of other origins.
    async fn pages_are_never_shared(database) {
        let scene = Scene::set(database).await?;
        for path in ["/", "/oauth/authorize", "/oauth/consent", "/oauth/atp/callback"] {
            let request = scene.agent.request("GET".parse()?, &scene.app.at(path)).header("origin", ORIGIN);
            let answer = scene.agent.send(request).await?;
            assert_eq!(answer.header("access-control-allow-origin"), "", "{path}");
        }
        Ok(())
    }
}
