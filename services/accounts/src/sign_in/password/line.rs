//! Who waits for a hash, and whose turn is next. Nobody can tell an attack from a rush, but one that comes from one place
//! must not keep other places waiting, and no rush of strangers those from where somebody has signed in before.

use std::collections::VecDeque;

/// Whose turn it is: those of one place wait for each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Whether the owner of the account has signed in from there.
    pub(crate) known: bool,
    /// Names the place.
    pub(crate) place: String,
}

/// Two lines, of known places and of strangers, which take turns; within a line the places do.
pub(super) struct Line<W> {
    most: usize,
    lines: [Places<W>; 2],
    /// The line that has the next turn.
    next: usize,
}

/// Those of each place in the order in which they came, the places in the order of their turns.
type Places<W> = VecDeque<(String, VecDeque<W>)>;

impl<W> Line<W> {
    /// For so many.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            lines: [VecDeque::new(), VecDeque::new()],
            next: 0,
        }
    }

    /// Lets one more wait. Where as many wait as may, the last one of the place with the most gives way to one of a place
    /// with fewer; false: this place has the most.
    pub(super) fn join(&mut self, turn: &Turn, waiter: W, gone: impl Fn(&W) -> bool) -> bool {
        if self.len() >= self.most {
            self.forget(gone);
        }
        if self.len() >= self.most && !self.make_room(turn) {
            return false;
        }
        let line = &mut self.lines[usize::from(turn.known)];
        match line.iter_mut().find(|(place, _)| *place == turn.place) {
            Some((_, waiters)) => waiters.push_back(waiter),
            None => line.push_back((turn.place.clone(), [waiter].into())),
        }
        true
    }

    /// Whose turn it is, and whether they are at a known place, as they must be where it cannot be a stranger's turn.
    pub(super) fn next(&mut self, strangers: bool) -> Option<(bool, W)> {
        let lines = [self.next, 1 - self.next];
        for line in lines.into_iter().filter(|line| strangers || *line == 1) {
            if let Some((place, mut waiters)) = self.lines[line].pop_front() {
                let waiter = waiters.pop_front();
                if !waiters.is_empty() {
                    self.lines[line].push_back((place, waiters));
                }
                self.next = 1 - line;
                return Some((line == 1, waiter?));
            }
        }
        None
    }

    fn len(&self) -> usize {
        let places = self.lines.iter().flatten();
        places.map(|(_, waiters)| waiters.len()).sum()
    }

    fn forget(&mut self, gone: impl Fn(&W) -> bool) {
        for line in &mut self.lines {
            for (_, waiters) in line.iter_mut() {
                waiters.retain(|waiter| !gone(waiter));
            }
            line.retain(|(_, waiters)| !waiters.is_empty());
        }
    }

    fn make_room(&mut self, turn: &Turn) -> bool {
        // Strangers of as many places as there is room for must not keep out who is known.
        let [strangers, _] = &mut self.lines;
        let waiting: usize = strangers.iter().map(|(_, waiters)| waiters.len()).sum();
        if turn.known && waiting * 2 > self.most {
            let longest = strangers
                .iter_mut()
                .max_by_key(|(_, waiters)| waiters.len());
            longest.and_then(|(_, waiters)| waiters.pop_back());
            strangers.retain(|(_, waiters)| !waiters.is_empty());
            return true;
        }
        let line = &self.lines[usize::from(turn.known)];
        let own = line.iter().find(|(place, _)| *place == turn.place);
        let own = own.map_or(0, |(_, waiters)| waiters.len());
        let all = self.lines.iter_mut().flatten();
        let longest = all.max_by_key(|(_, waiters)| waiters.len());
        // More than one more: otherwise they would only change places.
        let longest = longest.filter(|(_, waiters)| waiters.len() > own + 1);
        longest
            .and_then(|(_, waiters)| waiters.pop_back())
            .is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(known: bool, place: &str) -> Turn {
        Turn {
            known,
            place: place.to_owned(),
        }
    }

    fn waiting(most: usize, who: &[(bool, &str, u8)]) -> (Line<u8>, Vec<bool>) {
        let mut line = Line::new(most);
        let joined = who
            .iter()
            .map(|(known, place, waiter)| line.join(&turn(*known, place), *waiter, |_| false));
        let joined = joined.collect();
        (line, joined)
    }

    fn order(mut line: Line<u8>) -> Vec<u8> {
        std::iter::from_fn(|| line.next(true))
            .map(|(_, who)| who)
            .collect()
    }

    #[test]
    fn strangers_of_many_places_do_not_keep_out_who_is_known() {
        let strangers = [(false, "a", 1), (false, "b", 2), (false, "c", 3)];
        let known = [(true, "x", 4), (true, "y", 5), (true, "z", 6)];
        let who: Vec<_> = strangers.into_iter().chain(known).collect();
        let (line, joined) = waiting(3, &who);
        assert_eq!(joined, [true, true, true, true, true, false]);
        let order = order(line);
        assert_eq!(order.len(), 3);
        assert!(order.contains(&4) && order.contains(&5), "{order:?}");
    }

    #[test]
    fn places_take_turns_and_those_that_are_known_wait_for_one_stranger_at_most() {
        let flood = [(false, "a", 1), (false, "a", 2), (false, "a", 3)];
        let others = [(false, "b", 10), (true, "a", 20), (true, "c", 21)];
        let (line, _) = waiting(10, &[&flood[..], &others].concat());
        assert_eq!(order(line), [1, 20, 10, 21, 2, 3]);
    }

    #[test]
    fn a_turn_that_no_stranger_can_have_goes_to_a_known_place() {
        let who = [(false, "a", 1), (true, "x", 2), (false, "b", 3)];
        let (mut line, _) = waiting(10, &who);
        assert_eq!(line.next(false), Some((true, 2)));
        assert_eq!(line.next(false), None);
        assert_eq!(order(line), [1, 3]);
    }

    #[test]
    fn where_all_places_are_taken_the_longest_line_gives_way() {
        let who = [
            (false, "a", 1),
            (false, "a", 2),
            (false, "a", 3),
            (false, "a", 4),
            (false, "b", 10),
            (false, "b", 11),
        ];
        let (line, joined) = waiting(3, &who);
        assert_eq!(joined, [true, true, true, false, true, false]);
        assert_eq!(order(line), [1, 10, 2]);
    }

    #[test]
    fn who_has_gone_away_takes_no_place() {
        let (mut line, _) = waiting(2, &[(false, "a", 1), (false, "b", 2)]);
        assert!(!line.join(&turn(false, "c"), 3, |_| false));
        assert!(line.join(&turn(false, "c"), 3, |waiter| *waiter == 1));
        assert_eq!(order(line), [2, 3]);
    }
}
