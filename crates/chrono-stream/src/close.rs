//! Why a stream is ended by the server.

use std::time::Duration;

/// The reason a stream ends; WebSocket clients get it as a close code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// No valid key came in time, or a wrong one did.
    Unauthorized,
    /// The key was revoked or is over.
    KeyGone,
    /// More messages than the rate allows.
    TooManyMessages,
    /// The key has spent its limit of requests.
    TooManyRequests,
    /// Answers pile up because the client does not read them.
    AnswersUnread,
    /// The key or the address already has as many streams as it may.
    TooManyConnections,
    /// The server goes away; come back after this time.
    Draining(Duration),
    /// A write did not go through in time.
    NoProgress,
    /// A ping was not answered in time.
    NoPong,
}

impl CloseReason {
    /// Gives the WebSocket close code; none where the peer no longer takes one.
    pub const fn code(self) -> Option<u16> {
        match self {
            Self::Unauthorized | Self::KeyGone => Some(4401),
            Self::TooManyMessages | Self::AnswersUnread => Some(1008),
            Self::Draining(_) => Some(1012),
            Self::TooManyConnections | Self::TooManyRequests => Some(1013),
            Self::NoProgress | Self::NoPong => None,
        }
    }

    /// Says the reason in words for the client; at most 123 bytes, as a close frame takes.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Unauthorized => "a valid key is required",
            Self::KeyGone => "the key is no longer valid",
            Self::TooManyMessages => "too many messages",
            Self::TooManyRequests => "too many requests of the key",
            Self::AnswersUnread => "answers are not read",
            Self::TooManyConnections => "too many streams",
            Self::Draining(_) => "the server restarts",
            Self::NoProgress => "writes do not go through",
            Self::NoPong => "no answer to a ping",
        }
    }

    /// Names the reason in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::KeyGone => "key_gone",
            Self::TooManyMessages => "too_many_messages",
            Self::TooManyRequests => "too_many_requests",
            Self::AnswersUnread => "answers_unread",
            Self::TooManyConnections => "too_many_connections",
            Self::Draining(_) => "draining",
            Self::NoProgress => "no_progress",
            Self::NoPong => "no_pong",
        }
    }
}
