//! Who may pass: key, role and limit.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use chrono_auth::{Bucket, Decision, Keyring, Limit, Limits, Principal, RateLimiter, customer_of};
use chrono_domain::{Clock, WorkerId};
use hyper::Request;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName};

use super::percent::decode;
use super::{Access, ApiError, ErrorCode, KeyPlace, Reply, Route};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// What a request without a good key is told.
const NO_KEY: &str =
    "Missing or invalid API key: send one as `Authorization: Bearer KEY` or `X-API-Key: KEY`";
/// The scheme of a key in the Authorization header.
const BEARER: &str = "Bearer";

/// Checks keys and counts requests, for routes and for streams whose key comes in a message.
#[derive(Debug)]
pub struct Gate {
    keyring: Arc<Keyring>,
    limiter: RateLimiter,
    failures: RateLimiter,
    limits: Limits,
    failures_max: Limit,
    clock: Arc<dyn Clock>,
}

/// Who passed, and what that left of the limit.
#[derive(Debug, Clone, Default)]
pub(super) struct Passage {
    pub(super) principal: Option<Principal>,
    pub(super) quota: Option<Quota>,
}

/// What a request was counted against, and what is left of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// What the limit is a limit of: `key`, `worker` or `address`.
    pub(super) policy: &'static str,
    pub(super) decision: Decision,
}

impl Quota {
    /// Tells whether the request passes.
    pub fn allows(&self) -> bool {
        self.decision.allowed
    }

    /// Has an answer say what is left of this, unless less is left of its key's.
    ///
    /// # Errors
    /// The outcome's.
    pub fn told_in(self, outcome: Result<Reply, ApiError>) -> Result<Reply, ApiError> {
        let mut reply = outcome.map_err(|fault| fault.counted_by(self))?;
        reply.extensions_mut().insert(self);
        Ok(reply)
    }

    /// Gives whichever is met first, above all one that is spent.
    pub(super) fn tighter(self, other: Self) -> Self {
        let left = |quota: Self| (quota.allows(), quota.decision.remaining);
        if left(other) < left(self) { other } else { self }
    }
}

/// Most keys and workers that are counted apart in a minute.
const BUCKETS_MAX: usize = 100_000;
/// Most addresses whose failures are counted apart in a minute.
const ADDRESSES_MAX: usize = 20_000;

impl Gate {
    /// Opens to the keys of a keyring, with the limits of their roles, and with so many failures a minute of one
    /// address, after which they are answered 429. That tells a program with an old key to stop, and when to come again;
    /// it keeps nobody from guessing, since a good key passes all the same: others may be behind the address, and what
    /// keeps keys from being guessed is their length. Too many, and such a program goes on for longer; too
    /// few, and a 429 stands where 401 would say what is wrong.
    pub fn new(
        keyring: Arc<Keyring>,
        limits: Limits,
        failures_max: Limit,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let limiter = RateLimiter::new(Arc::clone(&clock), BUCKETS_MAX);
        let failures = RateLimiter::new(Arc::clone(&clock), ADDRESSES_MAX);
        Self { keyring, limiter, failures, limits, failures_max, clock }
    }

    /// Says who presents a key.
    ///
    /// # Errors
    /// `UNAUTHORIZED`, and `RATE_LIMIT_EXCEEDED` once the address failed too often; a valid key is never refused for
    /// failures, be they those of others behind its address or its own holder's.
    pub fn authenticate(&self, key: &str, from: IpAddr) -> Result<Principal, ApiError> {
        match self.keyring.authenticate(key, self.clock.now()) {
            Ok(principal) => Ok(principal),
            Err(fault) => Err(self.refuse(from).caused_by(fault)),
        }
    }

    /// Says whether the holder of a key may use what a route's access guards.
    ///
    /// # Errors
    /// `FORBIDDEN`.
    pub fn authorize(&self, principal: &Principal, access: Access) -> Result<(), ApiError> {
        if access.allows(principal.role) {
            return Ok(());
        }
        let role = principal.role.as_str();
        let message = format!("A key of the role {role} does not open this path");
        Err(ApiError::new(ErrorCode::Forbidden, message))
    }

    /// Counts one request of a key; administrators are not counted.
    pub fn count(&self, principal: &Principal) -> Option<Quota> {
        let limit = self.limits.find(principal)?;
        let decision = self.limiter.check(Bucket::Key(principal.key_id), limit);
        Some(Quota { policy: "key", decision })
    }

    /// Counts one request of a worker behind a key, beside what the key is counted; administrators are not counted.
    ///
    /// # Errors
    /// `RATE_LIMIT_EXCEEDED`.
    pub fn count_worker(
        &self,
        principal: &Principal,
        worker: WorkerId,
    ) -> Result<Option<Quota>, ApiError> {
        if self.limits.find(principal).is_none() {
            return Ok(None);
        }
        let bucket = Bucket::Worker(principal.key_id, worker);
        let decision = self.limiter.check(bucket, self.limits.worker);
        let quota = Quota { policy: "worker", decision };
        if quota.allows() { Ok(Some(quota)) } else { Err(ApiError::rate_limited(quota)) }
    }

    /// Gives the keys that open something, so that streams can see when theirs no longer does.
    pub fn keyring(&self) -> &Arc<Keyring> {
        &self.keyring
    }

    pub(super) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// Lets a request pass to its route, or says why not; `passage` says who it was as far as that is known.
    pub(super) fn admit<A, B>(
        &self,
        route: &Route<A>,
        request: &Request<B>,
        peer: SocketAddr,
        passage: &mut Passage,
    ) -> Result<(), ApiError> {
        if route.access == Access::Open {
            return Ok(());
        }
        let query = match route.key_place {
            KeyPlace::Header => None,
            KeyPlace::HeaderOrQuery | KeyPlace::HeaderQueryOrLater => request.uri().query(),
        };
        let key = match presented(request.headers(), query) {
            Presented::One(key) => key,
            Presented::None if route.key_place == KeyPlace::HeaderQueryOrLater => {
                return Ok(());
            }
            Presented::None | Presented::Several => return Err(self.refuse(peer.ip())),
        };
        let principal = self.authenticate(&key, peer.ip())?;
        let principal = &*passage.principal.insert(principal);
        self.authorize(principal, route.access)?;
        passage.quota = self.count(principal);
        Ok(())
    }

    /// Counts a failure of an address, and says so until there were too many. In the same words whatever failed: they
    /// must not help to guess.
    fn refuse(&self, from: IpAddr) -> ApiError {
        let decision = self.failures.check(Bucket::Address(customer_of(from)), self.failures_max);
        if decision.allowed {
            ApiError::new(ErrorCode::Unauthorized, NO_KEY)
        } else {
            ApiError::rate_limited(Quota { policy: "address", decision })
        }
    }
}

/// The keys that a request carries.
#[derive(Debug, PartialEq, Eq)]
enum Presented<'a> {
    None,
    One(Cow<'a, str>),
    /// More than one, and not the same: which one was meant is not for us to guess.
    Several,
}

fn presented<'a>(headers: &'a HeaderMap, query: Option<&'a str>) -> Presented<'a> {
    // A value that is not text is a key that opens nothing, not a missing one.
    let bearer = headers.get_all(AUTHORIZATION).iter();
    let bearer = bearer.filter_map(|value| value.to_str().map_or(Some(""), after_bearer));
    let direct = headers.get_all(API_KEY).iter().map(|value| value.to_str().unwrap_or_default());
    let pairs = query.unwrap_or_default().split('&');
    let queried = pairs.filter_map(|pair| pair.strip_prefix("key="));
    let queried = queried.map(|key| decode(key).unwrap_or_default());
    let mut keys = bearer.chain(direct).map(Cow::Borrowed).chain(queried);
    let Some(first) = keys.next() else { return Presented::None };
    if keys.all(|key| key == first) { Presented::One(first) } else { Presented::Several }
}

/// Gives the key of an Authorization header; other schemes are for proxies, not for us.
fn after_bearer(value: &str) -> Option<&str> {
    // Without a key it is an empty one, which opens nothing.
    let (scheme, key) = value.split_once(' ').unwrap_or((value, ""));
    scheme.eq_ignore_ascii_case(BEARER).then(|| key.trim())
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use chrono_auth::{ConfiguredKey, Role, Tier};
    use chrono_domain::{ManualClock, Timestamp};
    use hyper::header::HeaderValue;

    use super::*;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(HeaderName, &'static str)| {
            (name.clone(), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn a_key_is_found_wherever_it_may_be() {
        let one = |key| Presented::One(Cow::Borrowed(key));
        let none = headers(&[]);
        assert_eq!(presented(&headers(&[(AUTHORIZATION, "Bearer abc")]), None), one("abc"));
        assert_eq!(presented(&headers(&[(AUTHORIZATION, "bearer  abc ")]), None), one("abc"));
        assert_eq!(presented(&headers(&[(AUTHORIZATION, "Bearer")]), None), one(""));
        assert_eq!(presented(&headers(&[(API_KEY, "abc")]), None), one("abc"));
        assert_eq!(presented(&none, Some("a=1&key=a%62c")), one("abc"));
        assert_eq!(presented(&none, Some("monkey=abc")), Presented::None);
        assert_eq!(presented(&headers(&[(AUTHORIZATION, "Basic abc")]), None), Presented::None);
    }

    #[test]
    fn junk_keys_fill_no_table() {
        let text = "chrono_public_test_key_001";
        let key = ConfiguredKey::try_new(Role::Public, Tier::Free, &text.into()).unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::MIN));
        let keyring = Arc::new(Keyring::new([key]));
        let limit = Limit::per_minute(NonZeroU32::MIN);
        let gate = Gate::new(keyring, Limits::default(), limit, clock);
        for number in 0..100_000_u32 {
            let key = match number % 3 {
                0 => format!("chrono_public_of_nobody_{number}"),
                1 => format!("chrono_public_abcdefgh_{number:049}"),
                _ => format!("noise {number}"),
            };
            assert!(gate.authenticate(&key, [192, 0, 2, 1].into()).is_err());
        }
        assert_eq!((gate.limiter.buckets(), gate.failures.buckets()), (0, 1));
        assert!(gate.authenticate(text, [192, 0, 2, 1].into()).is_ok());
    }

    #[test]
    fn a_worker_is_counted_apart_from_others_behind_its_key() {
        let text = "chrono_internal_test_key_001";
        let key = ConfiguredKey::try_new(Role::Internal, Tier::Free, &text.into()).unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::MIN));
        let limits = Limits { internal: Limit::per_minute(NonZeroU32::MAX), ..Limits::default() };
        let gate = Gate::new(Arc::new(Keyring::new([key])), limits, limits.internal, clock);
        let principal = gate.authenticate(text, [127, 0, 0, 1].into()).unwrap();
        let count = |worker| gate.count_worker(&principal, WorkerId::try_new(worker).unwrap());
        for left in (0..5_000).rev() {
            assert_eq!(count("a").unwrap().unwrap().decision.remaining, left);
        }
        assert_eq!(count("a").unwrap_err().code(), ErrorCode::RateLimitExceeded);
        let (key, worker) = (gate.count(&principal).unwrap(), count("b").unwrap().unwrap());
        assert_eq!((key.policy, worker.policy), ("key", "worker"));
        assert_eq!((key.tighter(worker), worker.tighter(key)), (worker, worker));
        assert_eq!(key.tighter(key), key);
        let passes = Decision { remaining: 0, ..key.decision };
        let spent = Quota { decision: Decision { allowed: false, ..passes }, ..worker };
        assert_eq!(
            Quota { decision: passes, ..key }.tighter(spent),
            spent,
            "it says when to come again"
        );
    }

    #[test]
    fn the_same_key_twice_is_one_key_and_two_keys_are_none() {
        let both = |bearer, direct| headers(&[(AUTHORIZATION, bearer), (API_KEY, direct)]);
        let same = both("Bearer abc", "abc");
        assert_eq!(presented(&same, Some("key=abc")), Presented::One(Cow::Borrowed("abc")));
        assert_eq!(presented(&same, Some("key=abd")), Presented::Several);
        assert_eq!(presented(&both("Bearer abc", "abd"), None), Presented::Several);
    }
}
