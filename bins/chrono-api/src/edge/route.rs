//! One row of the route table.

use std::fmt;
use std::sync::Arc;

use chrono_auth::Role;
use futures_util::future::BoxFuture;
use hyper::Method;

use super::{ApiError, Call, Reply};

/// Who may use a route. Checked before the handler runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody, without a key.
    Open,
    /// Public keys of either tier, and administrators.
    Public,
    /// Internal keys, and administrators.
    Internal,
    /// Administrators.
    Admin,
}

impl Access {
    /// Says whether a role may use the route.
    pub const fn allows(self, role: Role) -> bool {
        match (self, role) {
            (Self::Open, _)
            | (_, Role::Admin)
            | (Self::Public, Role::Public)
            | (Self::Internal, Role::Internal) => true,
            (Self::Public, Role::Internal)
            | (Self::Internal, Role::Public)
            | (Self::Admin, Role::Public | Role::Internal) => false,
        }
    }

    /// Says whether pages of other origins may use the route: never where ticks are written or keys made.
    pub(super) const fn is_cross_origin(self) -> bool {
        match self {
            Self::Open | Self::Public => true,
            Self::Internal | Self::Admin => false,
        }
    }
}

/// Where a request may carry its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPlace {
    /// `Authorization: Bearer` or `X-API-Key`.
    Header,
    /// The headers, or `?key=`: browsers cannot set headers on event sources.
    HeaderOrQuery,
    /// The headers, or `?key=`, or nowhere yet: the handler asks for it in the first message.
    HeaderQueryOrLater,
}

/// What answers a request.
pub type Handler<A> = fn(Arc<A>, Call) -> BoxFuture<'static, Result<Reply, ApiError>>;

/// A method and a path, and what they mean.
pub struct Route<A: 'static> {
    /// The method; a GET route also answers HEAD.
    pub method: Method,
    /// The path as matchit writes it, such as `/admin/keys/{id}`; also the metrics' label.
    pub pattern: &'static str,
    /// Who may use it.
    pub access: Access,
    /// Where its key may be.
    pub key_place: KeyPlace,
    /// The operation's id in the API document.
    pub name: &'static str,
    /// What answers.
    pub handler: Handler<A>,
}

impl<A> Route<A> {
    /// Makes a route whose key stands in a header.
    pub const fn new(
        method: Method,
        pattern: &'static str,
        access: Access,
        name: &'static str,
        handler: Handler<A>,
    ) -> Self {
        Self { method, pattern, access, key_place: KeyPlace::Header, name, handler }
    }

    /// Makes a GET route.
    pub const fn get(
        pattern: &'static str,
        access: Access,
        name: &'static str,
        handler: Handler<A>,
    ) -> Self {
        Self::new(Method::GET, pattern, access, name, handler)
    }

    /// Makes a POST route.
    pub const fn post(
        pattern: &'static str,
        access: Access,
        name: &'static str,
        handler: Handler<A>,
    ) -> Self {
        Self::new(Method::POST, pattern, access, name, handler)
    }

    /// Lets the key be elsewhere than in a header.
    #[must_use]
    pub const fn with_key(mut self, place: KeyPlace) -> Self {
        self.key_place = place;
        self
    }
}

impl<A> fmt::Debug for Route<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({:?})", self.method, self.pattern, self.access)
    }
}
