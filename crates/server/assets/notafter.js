// Notafter's script: theme, keys, copying, and the age of an open page. Every page works without it.
(function () {
  "use strict";
  var root = document.documentElement;
  var store = {
    read: function (key) { try { return localStorage.getItem(key); } catch (e) { return null; } },
    write: function (key, value) { try { localStorage.setItem(key, value); } catch (e) { /* private window */ } }
  };

  // At once, before the first paint: otherwise a dark page flashes white.
  var theme = store.read("theme");
  if (theme === "dark" || theme === "light") root.dataset.theme = theme;

  function isDark() {
    return root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }

  function startTheme() {
    var button = document.getElementById("theme");
    if (!button) return;
    function label() { button.textContent = isDark() ? "light" : "dark"; button.title = "Show this in " + button.textContent; }
    button.hidden = false;
    label();
    button.addEventListener("click", function () {
      root.dataset.theme = isDark() ? "light" : "dark";
      store.write("theme", root.dataset.theme);
      label();
    });
  }

  // Copying: the clipboard needs a secure context; plain http on another host falls back to a selection.
  function copy(text, near) {
    function done() {
      say("Copied");
      if (!near) return;
      near.classList.add("copied");
      setTimeout(function () { near.classList.remove("copied"); }, 900);
    }
    if (navigator.clipboard && window.isSecureContext) {
      navigator.clipboard.writeText(text).then(done, function () { say("The browser refused to copy"); });
      return;
    }
    var area = document.createElement("textarea");
    area.value = text;
    area.className = "hide";
    document.body.appendChild(area);
    area.select();
    if (document.execCommand("copy")) done();
    area.remove();
  }

  var live;
  function say(text) {
    if (!live) {
      live = document.createElement("div");
      live.className = "hide";
      live.setAttribute("role", "status");
      document.body.appendChild(live);
    }
    live.textContent = "";
    setTimeout(function () { live.textContent = text; }, 30);
  }

  function startCopy() {
    document.querySelectorAll("code.copy").forEach(function (code) {
      code.tabIndex = 0;
      code.setAttribute("role", "button");
      code.title = "Copy " + code.dataset.copy;
    });
    document.querySelectorAll("tr[data-copy] > th:first-child, .copy.mid").forEach(function (cell) {
      var owner = cell.closest("[data-copy]");
      var button = document.createElement("button");
      button.type = "button";
      button.className = "cp";
      button.textContent = "copy";
      button.setAttribute("aria-label", "Copy " + owner.dataset.copy);
      button.dataset.copy = owner.dataset.copy;
      if (cell.matches(".mid")) cell.after(button); else cell.appendChild(button);
    });
    document.addEventListener("click", function (event) {
      var hit = event.target.closest("code.copy, button.cp");
      if (!hit) return;
      event.preventDefault();
      copy(hit.dataset.copy, hit);
    });
  }

  // Rows: j, k and the arrows move, Enter opens, c copies.
  var rows = [];
  var at = -1;
  function move(by) {
    rows = Array.prototype.filter.call(document.querySelectorAll("[data-row]"), function (row) { return row.offsetParent; });
    if (!rows.length) return false;
    var focused = document.activeElement && document.activeElement.closest("[data-row]");
    if (focused) at = rows.indexOf(focused);
    if (rows[at]) rows[at].classList.remove("at");
    at = Math.max(0, Math.min(rows.length - 1, at + by));
    rows[at].classList.add("at");
    var link = rows[at].querySelector("a[href]");
    if (link) link.focus({ preventScroll: true });
    rows[at].scrollIntoView({ block: "nearest" });
    return true;
  }

  function typing(target) {
    return target.closest && target.closest("input, select, textarea, [contenteditable]");
  }

  var waiting = false; // after g
  var places = { t: "/", i: "/inventory", f: "/findings", o: "/forecast", s: "/sources", a: "/alerts" };
  function startKeys() {
    var dialog = document.getElementById("keys");
    var opener = document.getElementById("keys-open");
    var search = document.getElementById("ask") || document.getElementById("q");
    function help() { if (dialog && !dialog.open) dialog.showModal(); }
    if (opener) { opener.hidden = false; opener.addEventListener("click", help); }
    document.addEventListener("keydown", function (event) {
      if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
      if (typing(event.target)) {
        if (event.key === "Escape") event.target.blur();
        return;
      }
      if (dialog && dialog.open) return;
      if (event.target.closest("summary, button, [role=region], dialog") && event.key.indexOf("Arrow") === 0) return;
      var went = waiting && places[event.key];
      waiting = false;
      if (went) { location.assign(went); return; }
      var did = true;
      switch (event.key) {
        case "/": if (search) { search.focus(); search.select(); } break;
        case "?": help(); break;
        case "g": waiting = true; break;
        case "j": case "ArrowDown": did = move(1); break;
        case "k": case "ArrowUp": did = move(-1); break;
        case "c":
          if (rows[at] && rows[at].dataset.copy) copy(rows[at].dataset.copy, rows[at]); else did = false;
          break;
        case "Enter": case " ":
          if (event.target.matches("code.copy")) copy(event.target.dataset.copy, event.target); else did = false;
          break;
        default: did = false;
      }
      if (did) event.preventDefault();
    });
  }

  // A page left open says so: what it shows is as old as the page.
  function startAge() {
    var loaded = Date.now();
    var notice;
    if (!document.body.dataset.made) return;
    setInterval(function () {
      var minutes = Math.floor((Date.now() - loaded) / 60000);
      if (minutes < 5) return;
      if (!notice) {
        notice = document.createElement("div");
        notice.className = "banner";
        var line = document.createElement("p");
        var words = document.createElement("b");
        var again = document.createElement("a");
        again.href = location.href;
        again.textContent = "Load it again";
        line.append(words, " ", again);
        notice.append(line);
        document.querySelector(".top").after(notice);
      }
      notice.querySelector("b").textContent = "This page is " + minutes + " minutes old.";
    }, 15000);
  }

  document.addEventListener("DOMContentLoaded", function () {
    var here = document.querySelector(".nav [aria-current]");
    if (here && here.offsetLeft > 200) here.parentNode.scrollLeft = here.offsetLeft - 120;
    startTheme();
    startCopy();
    startKeys();
    startAge();
  });
})();
