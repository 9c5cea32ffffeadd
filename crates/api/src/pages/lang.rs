//! The languages of the pages, and the choice among them.

use super::text::Text;
use super::text::de::DE;
use super::text::en::EN;

/// A language in which every page is available.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lang {
    /// English, the default when no other language matches.
    #[default]
    En,
    /// German.
    De,
}

impl Lang {
    /// Every language.
    pub const ALL: [Self; 2] = [Self::En, Self::De];

    /// The language tag (BCP 47).
    pub const fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::De => "de",
        }
    }

    /// All words of the pages.
    pub(super) const fn text(self) -> &'static Text {
        match self {
            Self::En => &EN,
            Self::De => &DE,
        }
    }

    /// The language of a tag or range such as `de-AT` (RFC 4647 section 3.4: by its first subtag).
    fn of_tag(tag: &str) -> Option<Self> {
        let primary = tag.split('-').next().unwrap_or_default();
        Self::ALL.into_iter().find(|lang| lang.tag().eq_ignore_ascii_case(primary))
    }

    /// The one that a browser's `Accept-Language` weighs most (RFC 9110 section 12.5.4); of two that
    /// weigh the same, the one that it names first.
    pub fn of_accept_language(header: &str) -> Self {
        let ranges: Vec<(&str, u16)> = header.split(',').filter_map(parse_range).collect();
        let mut best = (Self::default(), 0);
        let named = ranges.iter().filter_map(|(range, _)| Self::of_tag(range));
        for lang in named.chain(Self::ALL) {
            let of_lang = ranges.iter().filter(|(range, _)| Self::of_tag(range) == Some(lang));
            let any = ranges.iter().filter(|(range, _)| *range == "*");
            let weight = of_lang.map(|(_, q)| *q).max().or_else(|| any.map(|(_, q)| *q).max());
            if weight.is_some_and(|weight| weight > best.1) {
                best = (lang, weight.unwrap_or_default());
            }
        }
        best.0
    }

    /// The first supported language of a client's `ui_locales` (OpenID Connect Core section 3.1.2.1).
    pub fn of_ui_locales(value: &str) -> Option<Self> {
        value.split(' ').find_map(Self::of_tag)
    }
}

/// A language range with its weight in thousandths; `None` for what cannot be read.
fn parse_range(item: &str) -> Option<(&str, u16)> {
    let (range, parameter) = item.split_once(';').unwrap_or((item, ""));
    let weight = match parameter.trim() {
        "" => 1000,
        parameter => {
            let (name, value) = parameter.split_once('=')?;
            let weight = value.trim().parse::<f32>().ok().filter(|weight| (0.0..=1.0).contains(weight))?;
            if !name.trim().eq_ignore_ascii_case("q") {
                return None;
            }
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 1000")]
            let thousandths = (weight * 1000.0) as u16;
            thousandths
        }
    };
    Some((range.trim(), weight))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weightiest_language_that_we_speak() {
        for (header, lang) in [
            ("", Lang::En),
            ("de", Lang::De),
            ("DE-at", Lang::De),
            ("en-US,en;q=0.9,de;q=0.8", Lang::En),
            ("de-CH;q=0.5, en;q=0.4", Lang::De),
            ("fr, de;q=0.3, en;q=0.2", Lang::De),
            ("fr-FR, es;q=0.9", Lang::En),
            ("de, en", Lang::De),
            ("en, de", Lang::En),
            ("en;q=0, de;q=0.1", Lang::De),
            ("en;q=0, *;q=0.5", Lang::De),
            ("*", Lang::En),
            ("*;q=0.1, de;q=0.5", Lang::De),
            ("de;q=0", Lang::En),
            ("de;q=7, en;q=0.1", Lang::En),
            ("de;level=1, en;q=0.1", Lang::En),
            (";;;,=,q=1", Lang::En),
            ("deutsch", Lang::En),
        ] {
            assert_eq!(Lang::of_accept_language(header), lang, "{header:?}");
        }
    }

    #[test]
    fn the_first_locale_that_we_speak() {
        for (value, lang) in
            [("fr-CA de-AT en", Some(Lang::De)), ("en de", Some(Lang::En)), ("fr", None), ("", None)]
        {
            assert_eq!(Lang::of_ui_locales(value), lang, "{value:?}");
        }
    }
}
