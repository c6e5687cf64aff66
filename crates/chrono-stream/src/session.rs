//! One client's conversation: keys, limits, heartbeats and deadlines, without a socket.

mod pace;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use chrono_domain::{Clock, Seq, Timestamp};

use crate::batch::{Batch, Outgoing};
use crate::close::CloseReason;
use crate::hub::{Client, KeyId, Subscribe};
use crate::outbox::Flow;
use crate::protocol::command::{Command, CommandId, Fault, Secret, parse};
use crate::protocol::message::{self, Code, Rejected};
use crate::settings::StreamSettings;
use pace::Pace;

/// What answers may wait for a client that does not read, in bytes.
const NOTICE_BYTES_MAX: usize = 64 * 1_024;
/// How soon a heartbeat that could not tell a position is tried again.
const HEARTBEAT_RETRY: Duration = Duration::from_millis(100);

/// How a peer can be heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// It sends messages and answers pings.
    Talking,
    /// It only listens; its transport watches the socket.
    Listening,
}

/// A key that a client gave, to be checked by whoever knows keys.
#[derive(Debug)]
pub struct AuthRequest {
    id: Option<CommandId>,
    /// The key.
    pub key: Secret,
}

/// Why a key that a client gave is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// It opens nothing here.
    Unauthorized,
    /// It has spent its limit of requests.
    RateLimited,
}

/// One client's conversation.
///
/// A transport tells it what arrived ([`Session::hear`]), how writes go ([`Session::blocked`], [`Session::flushed`])
/// and when a deadline has come ([`Session::tick`]); it takes what is to be written ([`Session::take`]) and ends when
/// [`Session::closing`] says so. Dropping it leaves the hub.
#[derive(Debug)]
pub struct Session {
    client: Client,
    clock: Arc<dyn Clock>,
    peer: Peer,
    notices: VecDeque<Outgoing>,
    notice_bytes: usize,
    pace: Pace,
    opened_at: Duration,
    heard_at: Duration,
    pinged_at: Option<Duration>,
    heartbeat_at: Duration,
    blocked_at: Option<Duration>,
    unwritten: Unwritten,
    closing: Option<CloseReason>,
}

/// What was taken and is not known to be written yet.
#[derive(Debug, Default)]
struct Unwritten {
    updates: usize,
    oldest: Option<Timestamp>,
}

impl Session {
    /// Starts a conversation; a client without a key must give one in time.
    pub fn new(client: Client, peer: Peer) -> Self {
        let clock = Arc::clone(client.hub().clock());
        let now = clock.uptime();
        Self {
            peer,
            notices: VecDeque::new(),
            notice_bytes: 0,
            pace: Pace::default(),
            opened_at: now,
            heard_at: now,
            pinged_at: None,
            heartbeat_at: now + client.hub().settings().heartbeat_interval,
            blocked_at: None,
            unwritten: Unwritten::default(),
            closing: None,
            clock,
            client,
        }
    }

    /// Takes a text message; a key in it is for the caller to check, and to answer by [`Session::authenticate`].
    pub fn hear(&mut self, text: &str) -> Option<AuthRequest> {
        if !self.hear_noise() {
            return None;
        }
        let (id, command) = parse(text);
        let id_ref = id.as_ref();
        match command {
            Ok(Command::Auth(key)) => return Some(AuthRequest { id, key }),
            Err(fault) => self.notify(message::fault(id_ref, &fault), None),
            Ok(_) if self.client.key().is_none() => self.refuse(id_ref, "auth comes first"),
            Ok(Command::Ping) => self.notify(message::pong(id_ref), None),
            Ok(Command::Subscribe { request, rejected }) => {
                self.subscribe(id_ref, &request, rejected);
            }
            Ok(Command::Unsubscribe { topics, rejected }) => {
                let done = self.client.unsubscribe(&topics);
                self.notify(message::unsubscribed(id_ref, &done, rejected), None);
            }
        }
        None
    }

    /// Takes a message that is no text.
    pub fn hear_binary(&mut self) {
        if self.hear_noise() {
            let fault = Fault { code: Code::ValidationError, explanation: "not a text".into() };
            self.notify(message::fault(None, &fault), None);
        }
    }

    /// Takes a sign of life, such as a ping or a pong; answers false when there are too many.
    pub fn hear_noise(&mut self) -> bool {
        let now = self.clock.uptime();
        (self.heard_at, self.pinged_at) = (now, None);
        let settings = self.client.hub().settings();
        let allowed = self.pace.allows(now, settings.messages_per_second, settings.messages_burst);
        if !allowed {
            self.close(CloseReason::TooManyMessages);
        }
        allowed
    }

    /// Answers a key: whose it is, or why it is not taken.
    ///
    /// A stream that has a key changes to the new one, so that keys are rotated without a reconnect; a new key that is
    /// not taken, or has as many streams as it may, is answered with an error and the old one stays.
    pub fn authenticate(&mut self, request: &AuthRequest, key: Result<KeyId, Denied>) {
        let id = request.id.as_ref();
        let is_first = self.client.key().is_none();
        match key.map(|key| self.client.identify(key)) {
            Ok(Ok(())) => self.notify(message::authenticated(id), None),
            Ok(Err(_full)) if is_first => self.close(CloseReason::TooManyConnections),
            Ok(Err(full)) => {
                self.notify(message::error(id, Code::TooManyConnections, &full.to_string()), None);
            }
            Err(Denied::Unauthorized) if is_first => self.close(CloseReason::Unauthorized),
            Err(Denied::Unauthorized) => self.refuse(id, "not a valid key"),
            Err(Denied::RateLimited) if is_first => self.close(CloseReason::TooManyRequests),
            Err(Denied::RateLimited) => {
                let words = CloseReason::TooManyRequests.text();
                self.notify(message::error(id, Code::RateLimitExceeded, words), None);
            }
        }
    }

    /// Subscribes; the answer, and how a resume ends, come before the updates.
    pub fn subscribe(
        &mut self,
        id: Option<&CommandId>,
        request: &Subscribe,
        rejected: Vec<Rejected>,
    ) {
        let done = self.client.subscribe(request);
        let epoch = self.client.hub().epoch();
        let position = (!done.snapshot).then_some(done.position);
        self.notify(message::subscribed(id, &done, rejected, epoch), position);
        if let Some(answer) = done.resumption {
            self.notify(message::resumption(answer, epoch), None);
        }
    }

    /// Moves what is to be written next into the batch; answers whether there is more to take at once.
    pub fn take(&mut self, batch: &mut Batch) -> bool {
        while !batch.is_full()
            && let Some(notice) = self.notices.pop_front()
        {
            self.notice_bytes -= notice.bytes();
            batch.push(notice);
        }
        if !self.notices.is_empty() {
            return true;
        }
        // An answer of many symbols may be large, and seldom comes twice.
        self.notices.shrink_to_fit();
        let more = self.client.take(batch);
        self.unwritten.updates += batch.updates();
        self.unwritten.oldest = self.unwritten.oldest.or(batch.oldest());
        more
    }

    /// Notes that the last write did not go through at once.
    pub fn blocked(&mut self) {
        if self.blocked_at.is_none() {
            self.blocked_at = Some(self.clock.uptime());
            self.client.set_flow(Flow::Blocked);
        }
    }

    /// Notes that everything taken is written.
    pub fn flushed(&mut self) {
        if self.blocked_at.take().is_some() {
            self.client.set_flow(Flow::Open);
        }
        let Unwritten { updates, oldest } = std::mem::take(&mut self.unwritten);
        self.client.note_written(updates, oldest);
    }

    /// Notes that a chunk was handed to a writer which asks again when it has room.
    pub fn handed(&mut self) {
        self.client.set_flow(Flow::Handed);
    }

    /// Notes that the writer asks for more.
    pub fn asked(&mut self) {
        self.client.set_flow(Flow::Open);
        self.flushed();
    }

    /// Gives the uptime at which [`Session::tick`] is to be called next.
    pub fn next_deadline(&self) -> Duration {
        let settings = self.settings();
        let due = [
            self.client.key().is_none().then(|| self.opened_at + settings.auth_deadline),
            self.client.key().map(|_| self.heartbeat_at),
            self.ping_due(),
            self.write_due(),
        ];
        due.into_iter().flatten().min().unwrap_or(self.heartbeat_at)
    }

    /// Does what is due; answers whether a ping is to be sent.
    pub fn tick(&mut self) -> bool {
        let now = self.clock.uptime();
        let is_due = |due: Option<Duration>| due.is_some_and(|due| due <= now);
        if self.client.key().is_none() {
            if now >= self.opened_at + self.settings().auth_deadline {
                self.close(CloseReason::Unauthorized);
            }
        } else if now >= self.heartbeat_at {
            self.heartbeat(now);
        }
        if is_due(self.write_due()) && self.peer == Peer::Talking {
            self.close(CloseReason::NoProgress);
        }
        if !is_due(self.ping_due()) {
            return false;
        }
        if self.pinged_at.is_some() {
            self.close(CloseReason::NoPong);
            return false;
        }
        self.pinged_at = Some(now);
        true
    }

    /// Gives why the stream is to end, if it is.
    pub fn closing(&self) -> Option<CloseReason> {
        self.closing.or_else(|| self.client.close_reason())
    }

    /// Is ready once after there came something to take or a reason to end; else the task is woken then.
    pub fn poll_woken(&self, cx: &Context<'_>) -> Poll<()> {
        self.client.poll_woken(cx)
    }

    /// Gives the hub this talks to.
    pub fn hub(&self) -> &Arc<crate::hub::Hub> {
        self.client.hub()
    }

    fn settings(&self) -> &StreamSettings {
        self.client.hub().settings()
    }

    /// When to ping, or when the answer to a ping is overdue. A peer that does not read is not pinged.
    fn ping_due(&self) -> Option<Duration> {
        if self.peer == Peer::Listening || self.blocked_at.is_some() {
            return None;
        }
        Some(match self.pinged_at {
            Some(at) => at + self.settings().pong_deadline,
            None => self.heard_at + self.settings().ping_interval,
        })
    }

    fn write_due(&self) -> Option<Duration> {
        self.blocked_at.map(|at| at + self.settings().progress_deadline)
    }

    fn heartbeat(&mut self, now: Duration) {
        let interval = self.settings().heartbeat_interval;
        let pulse = if self.blocked_at.is_some() { None } else { self.client.heartbeat() };
        let Some(pulse) = pulse else {
            self.heartbeat_at = now + HEARTBEAT_RETRY.min(interval);
            return;
        };
        // The beat stays on its grid unless it was missed by a whole interval.
        self.heartbeat_at = (self.heartbeat_at + interval).max(now);
        let text = message::heartbeat(self.clock.now(), pulse.position, pulse.lag);
        self.notify(text, Some(pulse.position));
    }

    fn refuse(&mut self, id: Option<&CommandId>, explanation: &'static str) {
        self.notify(message::error(id, Code::Unauthorized, explanation), None);
    }

    fn notify(&mut self, text: bytes::Bytes, position: Option<Seq>) {
        if self.notice_bytes + text.len() > NOTICE_BYTES_MAX && !self.notices.is_empty() {
            return self.close(CloseReason::AnswersUnread);
        }
        self.notice_bytes += text.len();
        self.notices.push_back(Outgoing::Notice { text, position });
    }

    fn close(&mut self, reason: CloseReason) {
        self.closing.get_or_insert(reason);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(reason) = self.closing() {
            self.client.note_closed(reason);
        }
    }
}
