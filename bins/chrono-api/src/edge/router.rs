//! Finding the route of a request.

use hyper::Method;
use hyper::header::HeaderValue;

use super::Route;
use super::timings::Timings;

/// The metrics' label of paths that no route has.
const UNMATCHED: &str = "unmatched";

/// Says why a route table does not make a router. The table is the program's own: this is a bug found at start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// The pattern is malformed, or cannot be told from another one.
    #[error("route {pattern}: {reason}")]
    Pattern {
        /// The pattern.
        pattern: &'static str,
        /// What matchit says of it.
        reason: String,
    },
    /// Two routes of one pattern have the same method, or differ in whether other origins may use them.
    #[error("route {0} stands twice")]
    Twice(&'static str),
}

/// All routes of one pattern.
#[derive(Debug)]
pub(super) struct Endpoint<A: 'static> {
    /// The methods, as the Allow header lists them.
    pub(super) allow: HeaderValue,
    /// Whether pages of other origins may use it.
    pub(super) cross_origin: bool,
    /// Where its times are recorded.
    pub(super) timings: Timings,
    routes: Vec<&'static Route<A>>,
}

/// The values of a pattern's parameters, as they stand in the path.
pub(super) type Params = Vec<(String, String)>;

/// What a request turned out to ask for.
pub(super) enum Found<'r, A: 'static> {
    Route(&'static Route<A>),
    /// What may be asked for here.
    Options,
    /// The path is known, the method is not; the methods that are.
    WrongMethod(&'r HeaderValue),
    Nothing,
}

/// The route table, made ready for look-ups.
#[derive(Debug)]
pub(super) struct Router<A: 'static> {
    tree: matchit::Router<usize>,
    endpoints: Vec<Endpoint<A>>,
    unmatched: Endpoint<A>,
}

impl<A> Router<A> {
    pub(super) fn try_new(routes: &'static [Route<A>]) -> Result<Self, RouteError> {
        let mut made = Self {
            tree: matchit::Router::new(),
            endpoints: Vec::new(),
            unmatched: Endpoint {
                allow: HeaderValue::from_static("OPTIONS"),
                cross_origin: true,
                timings: Timings::new(UNMATCHED),
                routes: Vec::new(),
            },
        };
        for route in routes {
            let of_pattern = |known: &&Route<A>| known.pattern == route.pattern;
            let known = |known: &&mut Endpoint<A>| known.routes.first().is_some_and(of_pattern);
            match made.endpoints.iter_mut().find(known) {
                Some(endpoint) => endpoint.add(route)?,
                None => made.insert(route)?,
            }
        }
        Ok(made)
    }

    fn insert(&mut self, route: &'static Route<A>) -> Result<(), RouteError> {
        let pattern = route.pattern;
        self.tree
            .insert(pattern, self.endpoints.len())
            .map_err(|fault| RouteError::Pattern { pattern, reason: fault.to_string() })?;
        self.endpoints.push(Endpoint {
            allow: allow_of(&[route]),
            cross_origin: route.access.is_cross_origin(),
            timings: Timings::new(pattern),
            routes: vec![route],
        });
        Ok(())
    }

    /// Finds what a method and a raw path ask for, and the raw parameters.
    pub(super) fn find(&self, method: &Method, path: &str) -> (&Endpoint<A>, Found<'_, A>, Params) {
        let Ok(matched) = self.tree.at(path) else {
            return (&self.unmatched, Found::Nothing, Params::new());
        };
        let endpoint = self.endpoints.get(*matched.value).unwrap_or(&self.unmatched);
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        (endpoint, endpoint.find(method), matched.params.iter().map(owned).collect())
    }
}

impl<A> Endpoint<A> {
    fn add(&mut self, route: &'static Route<A>) -> Result<(), RouteError> {
        let same_method = self.routes.iter().any(|known| known.method == route.method);
        if same_method || self.cross_origin != route.access.is_cross_origin() {
            return Err(RouteError::Twice(route.pattern));
        }
        self.routes.push(route);
        self.allow = allow_of(&self.routes);
        Ok(())
    }

    fn find(&self, method: &Method) -> Found<'_, A> {
        let wanted = if method == Method::HEAD { &Method::GET } else { method };
        match self.routes.iter().find(|route| route.method == *wanted) {
            Some(route) => Found::Route(route),
            None if method == Method::OPTIONS => Found::Options,
            None => Found::WrongMethod(&self.allow),
        }
    }
}

fn allow_of<A>(routes: &[&'static Route<A>]) -> HeaderValue {
    let mut methods: Vec<&str> = Vec::new();
    for route in routes {
        methods.push(route.method.as_str());
        if route.method == Method::GET {
            methods.push("HEAD");
        }
    }
    methods.push("OPTIONS");
    // Methods are tokens, which every header value may hold.
    HeaderValue::try_from(methods.join(", ")).unwrap_or(HeaderValue::from_static("OPTIONS"))
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;
    use crate::edge::{Access, json_bytes};

    type Table = &'static [Route<()>];

    const fn route(method: Method, pattern: &'static str, access: Access) -> Route<()> {
        Route::new(method, pattern, access, pattern, |_app, _call| {
            Box::pin(ready(Ok(json_bytes("{}"))))
        })
    }

    #[test]
    fn a_static_path_wins_over_a_parameter_and_parameters_stay_raw() {
        const TABLE: Table = &[
            route(Method::GET, "/keys/{id}", Access::Admin),
            route(Method::DELETE, "/keys/{id}", Access::Admin),
            route(Method::GET, "/keys/own", Access::Admin),
        ];
        let router = Router::try_new(TABLE).unwrap();
        let found = |method, path| match router.find(method, path) {
            (_, Found::Route(route), params) => (route.pattern, params),
            _ => ("", Params::new()),
        };
        assert_eq!(found(&Method::GET, "/keys/own"), ("/keys/own", Params::new()));
        let id = vec![("id".to_owned(), "a%2Fb".to_owned())];
        assert_eq!(found(&Method::HEAD, "/keys/a%2Fb"), ("/keys/{id}", id.clone()));
        assert_eq!(found(&Method::DELETE, "/keys/a%2Fb"), ("/keys/{id}", id));
        let (endpoint, ..) = router.find(&Method::PUT, "/keys/7");
        assert_eq!(endpoint.allow, "GET, HEAD, DELETE, OPTIONS");
        assert!(!endpoint.cross_origin);
        assert!(matches!(router.find(&Method::GET, "/keys/"), (_, Found::Nothing, _)));
        assert!(matches!(router.find(&Method::GET, ""), (_, Found::Nothing, _)));
    }

    #[test]
    fn a_table_that_contradicts_itself_is_refused() {
        const TWICE: Table =
            &[route(Method::GET, "/a", Access::Open), route(Method::GET, "/a", Access::Public)];
        const MIXED: Table =
            &[route(Method::GET, "/a", Access::Open), route(Method::POST, "/a", Access::Internal)];
        const ALIKE: Table =
            &[route(Method::GET, "/{a}", Access::Open), route(Method::GET, "/{b}", Access::Open)];
        assert_eq!(Router::try_new(TWICE).unwrap_err(), RouteError::Twice("/a"));
        assert_eq!(Router::try_new(MIXED).unwrap_err(), RouteError::Twice("/a"));
        assert!(matches!(Router::try_new(ALIKE), Err(RouteError::Pattern { pattern: "/{b}", .. })));
    }
}
