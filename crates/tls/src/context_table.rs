use std::collections::HashMap;

use crate::ServerContext;

/// Contexts by server name: perhaps a default one, and named ones.
///
/// Names are compared without regard to case and to a trailing dot. `*` stands for anything within
/// a label, wherever it stands: `*.example.org` covers `a.example.org`, neither `example.org` nor
/// `a.b.example.org`. When several entries match, the one added last wins. All of it is as with
/// `server.addContext()`.
#[derive(Clone, Debug)]
pub struct ContextTable {
    default: Option<ServerContext>,
    exact: HashMap<String, Entry>,
    /// By what stands behind `*.`.
    wildcard: HashMap<String, Entry>,
    /// By name: whatever else has a `*`, which only a look at each finds.
    patterns: HashMap<String, Entry>,
    added: usize,
}

#[derive(Clone, Debug)]
struct Entry {
    context: ServerContext,
    order: usize,
}

impl ContextTable {
    /// A table that answers every name with `default`; with none it knows no name yet.
    pub fn new(default: impl Into<Option<ServerContext>>) -> Self {
        Self {
            default: default.into(),
            exact: HashMap::new(),
            wildcard: HashMap::new(),
            patterns: HashMap::new(),
            added: 0,
        }
    }

    /// The table with one more entry; see [`add`](Self::add).
    #[must_use]
    pub fn with(mut self, name: &str, context: ServerContext) -> Self {
        self.add(name, context);
        self
    }

    /// Adds an entry for a name, with or without `*` in it.
    pub fn add(&mut self, name: &str, context: ServerContext) {
        self.added += 1;
        let entry = Entry { context, order: self.added };
        let name = normalized(name);
        match name.strip_prefix("*.") {
            Some(parent) if !parent.contains('*') => self.wildcard.insert(parent.to_owned(), entry),
            _ if name.contains('*') => self.patterns.insert(name, entry),
            _ => self.exact.insert(name, entry),
        };
    }

    /// Replaces the default context.
    pub fn set_default(&mut self, context: impl Into<Option<ServerContext>>) {
        self.default = context.into();
    }

    /// The context for the server name of a ClientHello, or the default one. `None` says
    /// [`Decide::unserved`](crate::Decide::unserved).
    pub fn resolve(&self, server_name: Option<&str>) -> Option<&ServerContext> {
        let named = server_name.and_then(|name| self.named(&normalized(name)));
        named.map(|entry| &entry.context).or(self.default.as_ref())
    }

    fn named(&self, name: &str) -> Option<&Entry> {
        let exact = self.exact.get(name);
        let wildcard = name.split_once('.').and_then(|(_, parent)| self.wildcard.get(parent));
        let patterns = self.patterns.iter().filter(|(pattern, _)| matches(pattern, name));
        let entries = exact.into_iter().chain(wildcard).chain(patterns.map(|(_, entry)| entry));
        entries.max_by_key(|entry| entry.order)
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    let mut labels = name.split('.');
    pattern.split('.').all(|pattern| labels.next().is_some_and(|label| fits(pattern, label)))
        && labels.next().is_none()
}

fn fits(pattern: &str, label: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == label };
    let Some(mut label) = label.strip_prefix(start) else { return false };
    let mut parts = rest.split('*');
    let end = parts.next_back().unwrap_or_default();
    for part in parts {
        match label.split_once(part) {
            Some((_, behind)) => label = behind,
            None => return false,
        }
    }
    label.ends_with(end)
}

fn normalized(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}
