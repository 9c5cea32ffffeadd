//! Filtered server-sent events (HTML Living Standard section 9.2): an event passes when it is complete.

use bytes::Bytes;
use causeway_outbound::HttpError;
use causeway_outbound::budget::{Budget, Held};
use futures_util::stream::{BoxStream, StreamExt as _, unfold};

use super::{CAP, ToolFilter};

type Parts = BoxStream<'static, Result<Bytes, HttpError>>;

/// The events of a stream, without tools that the client may not call.
pub(super) fn filtered_events(filter: ToolFilter, budget: Budget, parts: Parts) -> Parts {
    let state = Some((Events { filter, budget, begun: None }, parts));
    unfold(state, |state| async move {
        let (mut events, mut parts) = state?;
        match parts.next().await {
            Some(Ok(part)) => match events.push(&part) {
                Ok(passed) => Some((Ok(passed), Some((events, parts)))),
                Err(error) => Some((Err(error), None)),
            },
            Some(Err(error)) => Some((Err(error), None)),
            // An event without its end is none.
            None => None,
        }
    })
    .filter(|part| {
        let is_there = !matches!(part, Ok(part) if part.is_empty());
        async move { is_there }
    })
    .boxed()
}

/// The event that has begun.
struct Events {
    filter: ToolFilter,
    budget: Budget,
    begun: Option<Held>,
}

impl Events {
    /// Adds a part; returns the events that are complete.
    fn push(&mut self, part: &[u8]) -> Result<Bytes, HttpError> {
        const NO_ROOM: HttpError = HttpError::NoRoom { sent: true };
        let mut begun = match self.begun.take() {
            Some(begun) => begun,
            None => Held::new(&self.budget, 2).map_err(|_| NO_ROOM)?,
        };
        if begun.len() + part.len() > CAP {
            return Err(HttpError::TooLarge);
        }
        begun.extend(part).map_err(|_| NO_ROOM)?;
        let (mut passed, mut from) = (Vec::new(), 0);
        while let Some(length) = end_of_event(&begun[from..]) {
            let event = &begun[from..from + length];
            match self.without_others(event) {
                Some(filtered) => passed.extend_from_slice(&filtered),
                None => passed.extend_from_slice(event),
            }
            from += length;
        }
        if from < begun.len() {
            let mut rest = Held::new(&self.budget, 2).map_err(|_| NO_ROOM)?;
            rest.extend(&begun[from..]).map_err(|_| NO_ROOM)?;
            self.begun = Some(rest);
        }
        Ok(passed.into())
    }

    /// An event without other tools; `None`: it lists none.
    fn without_others(&self, event: &[u8]) -> Option<Vec<u8>> {
        let text = std::str::from_utf8(event).ok()?;
        let lines = || text.split(['\r', '\n']).filter(|line| !line.is_empty());
        let values: Vec<&str> = lines()
            .filter_map(|line| line.strip_prefix("data:"))
            .map(|value| value.strip_prefix(' ').unwrap_or(value))
            .collect();
        let filtered = self.filter.without_others(values.join("\n").as_bytes())?;
        let mut written = Vec::with_capacity(filtered.len() + 64);
        for line in lines().filter(|line| !line.starts_with("data:")) {
            written.extend_from_slice(line.as_bytes());
            written.push(b'\n');
        }
        written.extend_from_slice(b"data: ");
        written.extend_from_slice(&filtered);
        written.extend_from_slice(b"\n\n");
        Some(written)
    }
}

/// The length of the first event, with the empty line at its end.
fn end_of_event(text: &[u8]) -> Option<usize> {
    let ends: [&[u8]; 3] = [b"\n\n", b"\r\n\r\n", b"\r\r"];
    let find = |end: &[u8]| text.windows(end.len()).position(|part| part == end).map(|at| at + end.len());
    ends.into_iter().filter_map(find).min()
}

#[cfg(test)]
mod tests {
    use causeway_outbound::budget::Budget;

    use super::*;
    use crate::mcp::tools::tests::filter;

    fn pushed(parts: &[&str]) -> String {
        let mut events = Events { filter: filter(), budget: Budget::new(100_000), begun: None };
        let passed: Vec<u8> = parts.iter().flat_map(|part| events.push(part.as_bytes()).unwrap()).collect();
        String::from_utf8(passed).unwrap()
    }

    #[test]
    fn events_pass_when_they_are_complete() {
        let ping = "id: 1\nevent: message\ndata: {\"method\":\"x\"}\n\n";
        assert_eq!(pushed(&[ping, ": ping\n\n", "data: begun"]), format!("{ping}: ping\n\n"));
        assert_eq!(pushed(&["data: {\r\ndata: \r\n", "\r\n"]), "data: {\r\ndata: \r\n\r\n");
        let list = "id: 2\ndata: {\"id\":1,\"result\":{\"tools\":[{\"name\":\"read\"},\ndata: {\"name\":\"write\"}]}}\n\n";
        let (begin, end) = list.split_at(20);
        let left = "id: 2\ndata: {\"id\":1,\"result\":{\"tools\":[{\"name\":\"read\"}]}}\n\n";
        assert_eq!(pushed(&[begin, end]), left);
    }

    #[test]
    fn an_event_without_an_end_is_bounded() {
        let mut events = Events { filter: filter(), budget: Budget::new(100 * CAP), begun: None };
        let part = vec![b'x'; CAP];
        assert!(events.push(&part).is_ok());
        assert!(matches!(events.push(b"x"), Err(HttpError::TooLarge)));
    }
}
