"""Renders the templates with sample data, for looking at them: python3 render.py OUT_FOLDER.

Not part of the product. It checks the sample against the structs of VIEWS.md first, so that page,
template and (later) Rust cannot drift apart. Needs jinja2.
"""
import pathlib, re, shutil, sys, types
import jinja2, markupsafe

HERE = pathlib.Path(__file__).parent
SERVER = HERE.parent


class Text(str):
    """A Rust String as a template sees it."""
    def len(self):
        return len(self)


class Rows(list):
    def len(self):
        return len(self)


def structs():
    out = {}
    for block in re.findall(r"```rust\n(.*?)```", (HERE / "VIEWS.md").read_text(), re.S):
        block = re.sub(r"//.*", "", block)
        for name, body in re.findall(r"pub struct (\w+) \{(.*?)\}", block, re.S):
            out[name] = dict(re.findall(r"pub (\w+): ([\w<>]+)", body))
    return out


STRUCTS = structs()


def fit(value, kind, where):
    """The value as a template sees it, or a complaint."""
    if kind == "String":
        assert isinstance(value, str), f"{where}: {value!r} is no String"
        return Text(value)
    if kind == "bool":
        assert isinstance(value, bool), f"{where}: {value!r} is no bool"
        return value
    if kind in ("u8", "u32", "u64", "i32"):
        assert isinstance(value, int) and not isinstance(value, bool), f"{where}: {value!r} is no {kind}"
        return value
    if kind == "f64":
        assert isinstance(value, (int, float)), f"{where}: {value!r} is no f64"
        return round(float(value), 2)
    if kind.startswith("Vec<"):
        return Rows(fit(v, kind[4:-1], f"{where}[{n}]") for n, v in enumerate(value))
    fields = STRUCTS[kind]
    missing, extra = fields.keys() - value.keys(), value.keys() - fields.keys()
    assert not missing and not extra, f"{where}: {kind} lacks {missing}, has unknown {extra}"
    # No dict: its methods (copy, items, values) would hide fields of those names.
    return types.SimpleNamespace(**{k: fit(v, fields[k], f"{where}.{k}") for k, v in value.items()})


def unused(template_text):
    """Fields of the structs that no template mentions."""
    return sorted(f"{s}.{f}" for s, fields in STRUCTS.items() for f in fields if not re.search(rf"\b{f}\b", template_text))


def main():
    import sample
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    (out / "assets").mkdir(exist_ok=True)
    shutil.copy(SERVER / "assets" / "status.js", out / "status.js")
    for name in ("notafter.css", "notafter.js", "icon.svg"):
        shutil.copy(SERVER / "assets" / name, out / "assets" / name)
    shutil.copy(SERVER / "assets" / "notafter.css", out / "notafter.css")
    env = jinja2.Environment(loader=jinja2.FileSystemLoader(SERVER / "templates"), autoescape=True,
                             undefined=jinja2.StrictUndefined)
    # views.rs has the same: text in which backticks mark what is typed.
    env.filters["code"] = lambda text: markupsafe.Markup(re.sub("`([^`]*)`", r"<code>\1</code>", str(markupsafe.escape(text))))
    for file, template, kind, view in sample.pages():
        text = env.get_template(template).render(**vars(fit(view, kind, file)))
        assert "<img src=x" not in text and "<built-in" not in text, file
        assert " style=" not in text and " on" + "click" not in text, file
        (out / file).write_text(text)
    everything = "".join(p.read_text() for p in (SERVER / "templates").rglob("*.html"))
    assert "|safe" not in everything and "| safe" not in everything
    print("rendered", len(list(out.glob("*.html"))), "pages; fields no template uses:", unused(everything))


if __name__ == "__main__":
    main()
