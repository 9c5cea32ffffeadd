//! The API: the user, and posts.

use actix_web::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use actix_web::web::{Data, Json};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Demo;
use super::grants::Post;

pub(super) async fn me(req: HttpRequest, demo: Data<Demo>) -> HttpResponse {
    if !allows(&req, &demo, "profile") {
        return refused();
    }
    HttpResponse::Ok().json(json!({"id": "demo-user", "name": "Demo User"}))
}

pub(super) async fn posts(req: HttpRequest, demo: Data<Demo>) -> HttpResponse {
    if !allows(&req, &demo, "posts") {
        return refused();
    }
    let posts: Vec<Value> = demo.grants().posts().map(shown).collect();
    HttpResponse::Ok().json(json!({"posts": posts}))
}

#[derive(Deserialize)]
pub(super) struct NewPost {
    text: String,
}

pub(super) async fn post(req: HttpRequest, demo: Data<Demo>, new: Json<NewPost>) -> HttpResponse {
    if !allows(&req, &demo, "posts") {
        return refused();
    }
    HttpResponse::Created().json(shown(&demo.grants().post(new.into_inner().text)))
}

fn shown(post: &Post) -> Value {
    json!({"id": post.id, "text": post.text})
}

/// Whether the request has an access token with this scope (RFC 6750 section 2.1).
fn allows(req: &HttpRequest, demo: &Demo, scope: &str) -> bool {
    let header = req.headers().get(AUTHORIZATION).and_then(|header| header.to_str().ok());
    let token = header.and_then(|header| header.strip_prefix("Bearer "));
    token.is_some_and(|token| demo.grants().allows(token, scope))
}

fn refused() -> HttpResponse {
    HttpResponse::Unauthorized()
        .insert_header((WWW_AUTHENTICATE, "Bearer error=\"invalid_token\""))
        .json(json!({"error": "invalid_token"}))
}
