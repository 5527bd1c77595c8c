use std::collections::HashMap;

use crate::ServerContext;

/// Contexts by server name: a default one and named ones.
///
/// Names are compared without regard to case and to a trailing dot. `*.example.org` covers one
/// label (`a.example.org`, neither `example.org` nor `a.b.example.org`; RFC 6125 section 6.4.3).
/// When several entries match, the one added last wins, as with `server.addContext()`.
#[derive(Clone, Debug)]
pub struct ContextTable {
    default: ServerContext,
    exact: HashMap<String, Entry>,
    wildcard: HashMap<String, Entry>,
    added: usize,
}

#[derive(Clone, Debug)]
struct Entry {
    context: ServerContext,
    order: usize,
}

impl ContextTable {
    /// A table that answers every name with `default`.
    pub fn new(default: ServerContext) -> Self {
        Self { default, exact: HashMap::new(), wildcard: HashMap::new(), added: 0 }
    }

    /// The table with one more entry; see [`add`](Self::add).
    #[must_use]
    pub fn with(mut self, name: &str, context: ServerContext) -> Self {
        self.add(name, context);
        self
    }

    /// Adds an entry for a name or a `*.` wildcard.
    pub fn add(&mut self, name: &str, context: ServerContext) {
        self.added += 1;
        let entry = Entry { context, order: self.added };
        let name = normalized(name);
        match name.strip_prefix("*.") {
            Some(parent) => self.wildcard.insert(parent.to_owned(), entry),
            None => self.exact.insert(name, entry),
        };
    }

    /// Replaces the default context.
    pub fn set_default(&mut self, context: ServerContext) {
        self.default = context;
    }

    /// The context for the server name of a ClientHello, or the default one.
    pub fn resolve(&self, server_name: Option<&str>) -> &ServerContext {
        server_name
            .and_then(|name| self.named(&normalized(name)))
            .map_or(&self.default, |entry| &entry.context)
    }

    fn named(&self, name: &str) -> Option<&Entry> {
        let exact = self.exact.get(name);
        let wildcard = name
            .split_once('.')
            .filter(|(label, _)| !label.is_empty())
            .and_then(|(_, parent)| self.wildcard.get(parent));
        exact.into_iter().chain(wildcard).max_by_key(|entry| entry.order)
    }
}

fn normalized(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}
