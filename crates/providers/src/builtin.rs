//! The definitions that are part of Causeway, in the order of their names.

macro_rules! built_in {
    ($($name:literal)*) => {
        /// The name and the text of each.
        pub(crate) const BUILT_IN: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../definitions/", $name, ".toml")))),*];
    };
}

built_in! {
    "atlassian"
    "demo"
    "discord"
    "facebook"
    "github"
    "gitlab"
    "google"
    "hubspot"
    "instagram"
    "key"
    "linkedin"
    "mastodon"
    "mcp"
    "microsoft"
    "notion"
    "oauth2"
    "oidc"
    "salesforce"
    "slack"
    "spotify"
    "threads"
    "tiktok"
    "x"
}

#[cfg(test)]
mod tests {
    use super::BUILT_IN;

    #[test]
    fn every_file_is_built_in() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/definitions");
        let mut files: Vec<String> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        files.sort();
        let names: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, files);
    }
}
