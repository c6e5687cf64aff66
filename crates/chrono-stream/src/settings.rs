//! The numbers that bound the stream.

use std::time::Duration;

/// Bounds and intervals of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSettings {
    /// Connections in all. Too high: memory (some 8 KiB each, kernel included); too low: clients are refused.
    pub connections_max: usize,
    /// Connections of one key. Too high: one client takes all; too low: a fleet behind one key is refused.
    pub connections_per_key_max: usize,
    /// Connections from one address. Too high: one machine takes all; too low: clients behind one proxy are refused.
    pub connections_per_ip_max: usize,
    /// Symbols and patterns of one connection. Too high: memory; too low: clients need several connections.
    pub topics_max: usize,
    /// Frames kept for those who resume. Too high: memory; too low: short outages end in `gap`.
    pub ring_frames_max: usize,
    /// What the frames kept may take, in bytes; whichever bound is met first holds.
    pub ring_bytes_max: usize,
    /// Frames queued for one connection. Too high: memory per slow client; too low: bursts take the slower way
    /// through the ring.
    pub queue_frames_max: usize,
    /// Frames looked at in one hold of the hub's lock by a connection that catches up. Too high: the publisher
    /// waits; too low: catching up takes more holds.
    pub slice_frames_max: usize,
    /// Time between heartbeats. Too long: clients learn late that prices stand still; too short: idle traffic.
    pub heartbeat_interval: Duration,
    /// Silence after which the server pings. Too long: dead peers stay; too short: idle traffic.
    pub ping_interval: Duration,
    /// How long a peer may take to answer a ping. Too long: dead peers stay; too short: slow links are cut.
    pub pong_deadline: Duration,
    /// How long a connection may stay without a valid key. Too long: strangers hold places.
    pub auth_deadline: Duration,
    /// How long a write (at most some KiB) may take. Too long: stalled readers stay; too short: slow links are cut.
    pub progress_deadline: Duration,
    /// Time between looks whether the keys of open connections still live; a dead one closes them after at most
    /// this and the age of the answer.
    pub key_check_interval: Duration,
    /// Messages a client may send per second in the long run. Too high: one client's commands cost the others.
    pub messages_per_second: u32,
    /// Messages a client may send at once. Too low: a client that subscribes one by one is closed.
    pub messages_burst: u32,
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            connections_per_key_max: 1_000,
            connections_per_ip_max: 1_000,
            topics_max: 1_024,
            ring_frames_max: 65_536,
            ring_bytes_max: 64 << 20,
            queue_frames_max: 128,
            slice_frames_max: 1_024,
            heartbeat_interval: Duration::from_secs(30),
            ping_interval: Duration::from_secs(20),
            pong_deadline: Duration::from_secs(10),
            auth_deadline: Duration::from_secs(10),
            progress_deadline: Duration::from_secs(30),
            key_check_interval: Duration::from_secs(2),
            messages_per_second: 20,
            messages_burst: 40,
        }
    }
}
