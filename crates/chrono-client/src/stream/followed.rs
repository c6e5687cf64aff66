//! Which symbols a stream follows, by what the gateway answered.

use std::collections::{BTreeSet, VecDeque};

use serde::Serialize;

use super::Event;

/// What is asked for some symbols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    Subscribe,
    Unsubscribe,
}

/// A command that the gateway has not answered yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pending {
    /// The answer repeats it.
    pub(crate) id: u64,
    pub(crate) action: Action,
    pub(crate) symbols: Vec<String>,
}

/// The symbols that the gateway took, and the commands it has not answered.
///
/// Taken is what it says is taken, in its own spelling: what it refused, by name or with the whole command, would be
/// refused again at every resume, and could make a resume name more symbols than one command may.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    taken: BTreeSet<String>,
    /// In the order they were sent.
    pending: VecDeque<Pending>,
    /// The command that asked for all that was taken, after a reconnect.
    resume: Option<u64>,
    last_id: u64,
}

impl Followed {
    /// Notes a command that is to be sent.
    pub(crate) fn ask(&mut self, action: Action, symbols: &[&str]) -> Pending {
        let symbols = symbols.iter().map(|&symbol| symbol.to_owned()).collect();
        let pending = Pending { id: self.next_id(), action, symbols };
        self.pending.push_back(pending.clone());
        pending
    }

    /// Forgets a command that was answered, or is never sent.
    pub(crate) fn forget(&mut self, id: u64) {
        self.pending.retain(|pending| pending.id != id);
    }

    /// Gives the command that asks for everything taken so far on a new connection; none where that is nothing.
    ///
    /// The pending ones are to be sent after it: on the old connection they may not have arrived.
    pub(crate) fn resume(&mut self) -> Option<Pending> {
        let id = (!self.taken.is_empty()).then(|| self.next_id());
        self.resume = id;
        let symbols = || self.taken.iter().cloned().collect();
        id.map(|id| Pending { id, action: Action::Subscribe, symbols: symbols() })
    }

    /// Gives the commands without an answer, in the order they were sent.
    pub(crate) fn pending(&self) -> impl Iterator<Item = &Pending> {
        self.pending.iter()
    }

    /// Notes an answer to the command `id`.
    pub(crate) fn note(&mut self, id: Option<u64>, event: &Event) {
        match event {
            Event::Subscribed { symbols, .. } => {
                if id.is_some() && id == self.resume {
                    self.taken.clear();
                }
                self.taken.extend(symbols.iter().cloned());
            }
            Event::Unsubscribed { symbols, .. } => {
                self.taken.retain(|taken| !symbols.contains(taken));
            }
            // Refused as a whole; where it was the resume, its symbols are kept for the next one.
            Event::Error { .. } => {}
            _ => return,
        }
        if let Some(id) = id {
            self.forget(id);
        }
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscribed(symbols: &[&str]) -> Event {
        let symbols = symbols.iter().map(|&symbol| symbol.to_owned()).collect();
        Event::Subscribed { symbols, rejected: Vec::new(), epoch: None, seq: None }
    }

    fn unsubscribed(symbols: &[&str]) -> Event {
        let symbols = symbols.iter().map(|&symbol| symbol.to_owned()).collect();
        Event::Unsubscribed { symbols, rejected: Vec::new(), seq: None }
    }

    fn refused() -> Event {
        Event::Error { code: "TOO_MANY_SYMBOLS".to_owned(), message: String::new() }
    }

    fn subscribe(followed: &mut Followed, symbols: &[&str], answer: &Event) {
        let id = followed.ask(Action::Subscribe, symbols).id;
        followed.note(Some(id), answer);
    }

    fn resumed(followed: &mut Followed) -> Vec<String> {
        followed.resume().map(|pending| pending.symbols).unwrap_or_default()
    }

    #[test]
    fn resumes_what_was_taken_in_the_gateways_spelling() {
        let mut followed = Followed::default();
        assert_eq!(followed.resume(), None);
        subscribe(&mut followed, &["b/x", "nonsense", "A/X"], &subscribed(&["B/X", "A/X"]));
        subscribe(&mut followed, &["C/X"], &refused());
        assert_eq!(resumed(&mut followed), ["A/X", "B/X"]);
        assert_eq!(followed.pending().count(), 0);
    }

    #[test]
    fn what_a_resume_is_refused_is_not_asked_for_again() {
        let mut followed = Followed::default();
        subscribe(&mut followed, &["A/X", "B/X"], &subscribed(&["A/X", "B/X"]));
        let id = followed.resume().unwrap().id;
        followed.note(Some(id), &subscribed(&["B/X"]));
        assert_eq!(resumed(&mut followed), ["B/X"]);
    }

    #[test]
    fn a_resume_that_is_refused_as_a_whole_may_be_tried_again() {
        let mut followed = Followed::default();
        subscribe(&mut followed, &["A/X"], &subscribed(&["A/X"]));
        let id = followed.resume().unwrap().id;
        followed.note(Some(id), &refused());
        assert_eq!(resumed(&mut followed), ["A/X"]);
    }

    #[test]
    fn commands_without_an_answer_are_kept_in_their_order() {
        let mut followed = Followed::default();
        subscribe(&mut followed, &["A/X"], &subscribed(&["A/X"]));
        let asked = [
            followed.ask(Action::Unsubscribe, &["a-x"]),
            followed.ask(Action::Subscribe, &["B/X"]),
        ];
        assert_eq!(resumed(&mut followed), ["A/X"]);
        assert!(followed.pending().eq(&asked));
        followed.note(Some(asked[0].id), &unsubscribed(&["A/X"]));
        assert!(followed.pending().eq(&asked[1..]));
        assert_eq!(followed.resume(), None);
    }
}
