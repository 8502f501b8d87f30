//! A backup restored on a second host (trust F16): the copy begins nothing until somebody says that it is the one.

use std::fs;
use std::time::Duration;

use crate::house::{House, Plan, copy, until};
use crate::{Options, Row, facts};

pub(super) fn play(options: &Options) -> Result<Vec<Row>, String> {
    let plan = Plan { head: "[server]\nlisten = \"127.0.0.1:0\"\n".to_owned(), ..Plan::default() };
    let mut rows = Vec::new();
    for way in ["restored from a backup", "a copy of the data folder"] {
        let mut house = House::new(options, "copy", &plan)?;
        let first = house.renew();
        if first.code != Some(0) {
            return Err(first.words());
        }
        let (origin, second) = (house.data.clone(), house.lab.path().join("second"));
        if way.starts_with("restored") {
            let backup = house.lab.path().join("backup.db");
            let path = backup.display().to_string();
            let made = house.run(&["backup", &path]);
            house.data = second.clone();
            let restored = house.run(&["restore", &path]);
            if (made.code, restored.code) != (Some(0), Some(0)) {
                return Err(format!("{} {}", made.words(), restored.words()));
            }
            // The master key is in no backup: whoever restores brings it along.
            fs::copy(origin.join("master.key"), second.join("master.key")).map_err(|e| e.to_string())?;
        } else {
            copy(&origin, &second);
            house.data = second.clone();
        }
        let mut row = Row::of("F16", format!("{way}: paused until somebody says so"));
        let issued = house.orders();
        let old = facts::leaf(&house.certificate())?;
        for words in [["renew", "web"].as_slice(), &["deploy", "web"]] {
            let run = house.run(words);
            row.points += 1;
            row.must(run.code == Some(2), || format!("{words:?} is not refused: {}", run.words()));
            row.must(run.err.contains("hint:"), || format!("{words:?} gives no hint: {}", run.words()));
        }
        // A server on it, with a certificate that is due: it is for more names now.
        house.write(&Plan { names: vec!["srv.test", "more.test"], ..plan.clone() }, &house.ca.directory());
        let server = house.start(&["serve"], "second.out");
        std::thread::sleep(Duration::from_secs(8));
        row.points += 1;
        row.must(house.orders() == issued, || format!("the second server ordered: {}", server.words()));
        let same = facts::leaf(&house.certificate())?;
        row.must(same == old, || "the second server installed something".to_owned());
        row.must(server.words().contains("paused"), || format!("it does not say so: {}", server.words()));
        // Somebody says so, and the server goes on by itself.
        let run = house.run(&["renew", "web", "--take-over", "--wait", "60s"]);
        row.points += 1;
        row.must(run.code == Some(0), || format!("--take-over: {}", run.words()));
        let new =
            until(Duration::from_secs(20), || facts::leaf(&house.certificate()).ok().filter(|l| *l != old));
        row.must(new.is_some(), || "nothing was installed after --take-over".to_owned());
        drop(server);
        // The first one is as it was.
        house.data = origin;
        let run = house.renew();
        row.points += 1;
        row.must(run.code == Some(0), || format!("the first one: {}", run.words()));
        rows.push(row);
    }
    Ok(rows)
}
