//! The bounds of the transport.

use std::time::Duration;

/// What peers may hold, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Connections at once. Too high, and descriptors or memory run out; too low, and honest peers are refused.
    pub connections_max: usize,
    /// Connections at once of one address. Too high, and one peer takes all; too low, and offices behind one
    /// address are refused.
    pub connections_per_ip_max: usize,
    /// From the accept to the first byte. Too high, and silent sockets pile up; too low, and slow links fail.
    pub first_byte: Duration,
    /// From the accept to the end of the TLS handshake, where there is TLS; the first byte of a request is awaited
    /// after it. Too high, and silent sockets pile up; too low, and slow links fail.
    pub tls_handshake: Duration,
    /// From the first byte of a request's head to its last, and between requests. Too high, and slow senders hold
    /// connections; too low, and workers with pauses must reconnect.
    pub header_read: Duration,
    /// Without a byte taken by the peer. Too high, and readers that never read hold answers in memory; too low, and
    /// links with long gaps are cut.
    pub write_stall: Duration,
    /// For each 64 KiB of an answer that a peer takes while more of it waits, on top of [`Settings::write_stall`] once.
    /// Too high, and readers that dribble hold answers in memory; too low, and slow links are cut.
    pub write_pace: Duration,
    /// Bytes of large answers that are made and not yet handed to their sockets. Too high, and readers that take
    /// their time fill the memory; too low, and large answers are refused while links are slow.
    pub answer_bytes_max: usize,
    /// Of a request's body.
    pub body: BodyLimits,
}

/// What a request's body may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyLimits {
    /// Largest body, in bytes. Too high, and memory is this times the connections; too low, and full batches fail.
    pub bytes_max: usize,
    /// From asking for the body to its end. Too high, and slow senders hold requests open; too low, and slow links
    /// cannot post a full batch.
    pub deadline: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connections_max: 12_000,
            connections_per_ip_max: 1_000,
            first_byte: Duration::from_secs(10),
            tls_handshake: Duration::from_secs(5),
            header_read: Duration::from_secs(30),
            write_stall: Duration::from_secs(30),
            // 16 KiB a second: two megabytes may take two minutes and a half.
            write_pace: Duration::from_secs(4),
            answer_bytes_max: 256 * 1024 * 1024,
            body: BodyLimits { bytes_max: 1024 * 1024, deadline: Duration::from_secs(10) },
        }
    }
}
