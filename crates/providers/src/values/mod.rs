//! Values of definitions, checked as they are read.

pub(crate) mod fill;
pub(crate) mod host;
pub(crate) mod http;
pub(crate) mod name;
pub(crate) mod path;
pub(crate) mod pattern;
pub(crate) mod pointer;
pub(crate) mod scalar;
pub(crate) mod seconds;
pub(crate) mod template;
pub(crate) mod text;
pub(crate) mod url_template;
