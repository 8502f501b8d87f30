//! A person installs: for what this program may not write.
//!
//! The new pair is laid out where that person can take it, with all that `files` promises of a file. Whether it was
//! installed is nobody's word: the places in `prove` tick it off, one by one, when they are seen to show it.

use notafter_core::deployment::{Bundle, Check, Receipt};
use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_core::joints::{BoxFuture, Cx, Deployer};
use notafter_core::location::Location;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{BuildCx, Built, files};
use crate::settings;

/// `kind = "hand"`
pub(super) const NAME: &str = "hand";
pub(super) const DOC: &str = "A person: the files are laid out, the steps stand in `notafter runbook`, and the places tick themselves off.";

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Where the new pair is laid out: the paths and forms of a `files` target, such as `{ certificate = "...", key = "..." }`
    /// or `{ pkcs12 = { ... } }`.
    #[schemars(with = "Map<String, Value>")]
    files: Map<String, Value>,
    /// What to do with it, in order, a line each. Printed by `notafter runbook`, and run by nobody.
    #[serde(default)]
    steps: Vec<String>,
}

pub(super) fn schema() -> Value {
    settings::schema::<Settings>()
}

pub(super) fn build(table: Value, cx: &BuildCx) -> Built {
    let settings: Settings = settings::read(table, &schema())?;
    for command in ["check", "reload", "preset"] {
        if settings.files.contains_key(command) {
            return Err(format!(
                "`files.{command}`: nothing is started where a person installs\nhint: write it into `steps`, or make this a target of kind \"files\""
            ));
        }
    }
    let stage = files::build(Value::Object(settings.files), cx).map_err(|e| format!("files: {e}"))?;
    Ok(Box::new(Hand { stage, steps: settings.steps }))
}

struct Hand {
    stage: Box<dyn Deployer>,
    steps: Vec<String>,
}

impl Deployer for Hand {
    /// None: what is laid out is in use nowhere.
    fn places(&self) -> Vec<Location> {
        Vec::new()
    }

    fn deploy<'a>(&'a self, cx: &'a Cx, bundle: &'a Bundle) -> BoxFuture<'a, Result<Receipt, Fault>> {
        Box::pin(async move {
            let laid_out = self.stage.deploy(cx, bundle).await?;
            // What lay there before was for somebody to install, too: it says nothing of what is in use.
            Ok(Receipt { before: None, ..laid_out })
        })
    }

    fn roll_back<'a>(&'a self, _: &'a Cx, _: &'a Receipt) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async {
            Err(Fault::new(FaultKind::Invalid, "a person installed it, or did not")
                .retry(Retry::Never)
                .hint("notafter runbook says what is left to do"))
        })
    }

    fn rehearse<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Vec<Check>> {
        self.stage.rehearse(cx)
    }
    fn by_hand(&self) -> Option<&[String]> {
        Some(&self.steps)
    }
}
