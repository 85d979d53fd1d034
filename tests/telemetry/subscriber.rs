//! A subscriber that keeps every span of the library, with its fields and how it ended.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{LazyLock, Mutex, MutexGuard};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

/// A span that was kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept {
    pub(crate) name: &'static str,
    /// The names of the spans around it, from the outermost.
    pub(crate) around: Vec<String>,
    pub(crate) fields: BTreeMap<&'static str, String>,
    pub(crate) logged: Vec<String>,
    pub(crate) ended: bool,
}

impl Kept {
    /// The value of a field.
    #[track_caller]
    pub(crate) fn field(&self, name: &str) -> &str {
        let value = self.fields.get(name).map(String::as_str);
        value.unwrap_or_else(|| panic!("{name} was not recorded: {self:?}"))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }
}

static KEPT: Mutex<BTreeMap<u64, Kept>> = Mutex::new(BTreeMap::new());

static WARNED: Mutex<Vec<BTreeMap<&'static str, String>>> = Mutex::new(Vec::new());

/// Every event of the library, whatever its level, as text.
static LOGGED: Mutex<Vec<String>> = Mutex::new(Vec::new());

static INSTALLED: LazyLock<()> = LazyLock::new(|| {
    let subscriber = tracing_subscriber::registry().with(Keeper);
    tracing::subscriber::set_global_default(subscriber).expect("nobody else installs one");
});

/// From now on spans are kept.
pub(crate) fn install() {
    LazyLock::force(&INSTALLED);
}

/// The spans of a name that `wanted` wants, in the order in which they began.
pub(crate) fn kept(name: &str, wanted: impl Fn(&Kept) -> bool) -> Vec<Kept> {
    let is_it = |span: &&Kept| span.name == name && wanted(span);
    all().values().filter(is_it).cloned().collect()
}

/// The warnings in which a field has this value.
pub(crate) fn warnings(field: &str, value: &str) -> Vec<BTreeMap<&'static str, String>> {
    let has = |fields: &&BTreeMap<_, String>| fields.get(field).is_some_and(|v| v == value);
    WARNED.lock().unwrap().iter().filter(has).cloned().collect()
}

/// The spans and events in which a text stands.
pub(crate) fn mentions(text: &str) -> Vec<String> {
    let logged = LOGGED.lock().unwrap().clone();
    let spans: Vec<_> = all().values().map(|span| format!("{span:?}")).collect();
    assert!(!logged.is_empty() && !spans.is_empty(), "nothing is kept");
    let all = logged.into_iter().chain(spans);
    all.filter(|one| one.contains(text)).collect()
}

fn all() -> MutexGuard<'static, BTreeMap<u64, Kept>> {
    KEPT.lock().unwrap()
}

struct Keeper;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Keeper {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut kept = Kept {
            name: attributes.metadata().name(),
            ..Kept::default()
        };
        if let Some(scope) = context.span_scope(id) {
            let names = scope.from_root().map(|span| span.name().to_owned());
            kept.around = names.collect();
            kept.around.pop();
        }
        attributes.record(&mut Fields(&mut kept.fields));
        // Ids are used again, so a number of its own.
        let mut all = all();
        let number = all.len() as u64;
        let span = context.span(id).expect("a new span is known");
        span.extensions_mut().insert(Number(number));
        all.insert(number, kept);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        change(id, &context, |kept| {
            values.record(&mut Fields(&mut kept.fields))
        });
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = BTreeMap::new();
        event.record(&mut Fields(&mut fields));
        let target = event.metadata().target();
        if target.starts_with("event") {
            let text = format!("{target}: {fields:?}");
            LOGGED.lock().unwrap().push(text);
        }
        if *event.metadata().level() == Level::WARN {
            WARNED.lock().unwrap().push(fields.clone());
        }
        if let Some(span) = context.event_span(event) {
            let text = fields.remove("message").unwrap_or_default();
            change(&span.id(), &context, |kept| kept.logged.push(text));
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        change(&id, &context, |kept| kept.ended = true);
    }
}

struct Number(u64);

fn change<S>(id: &Id, context: &Context<'_, S>, change: impl FnOnce(&mut Kept))
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let number = context
        .span(id)
        .and_then(|span| span.extensions().get::<Number>().map(|number| number.0));
    if let Some(number) = number {
        all().entry(number).and_modify(change);
    }
}

struct Fields<'a>(&'a mut BTreeMap<&'static str, String>);

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}
