// The status page may live on another host than what it reports on. Nobody tells its readers that the one who wrote
// it has died: so it says of itself, once it is older than it may be, that nothing on it is known.
(function () {
  "use strict";
  var body = document.body;
  var until = Date.parse(body.dataset.until || "");
  var done = false;

  function text(selector, words) {
    document.querySelectorAll(selector).forEach(function (at) { at.textContent = words; });
  }

  function look() {
    // What cannot be read is no promise either.
    if (done || Date.now() <= until) return;
    done = true;
    body.classList.add("over");
    document.querySelectorAll(".now, .soon, .proven").forEach(function (at) {
      at.classList.remove("now", "soon", "proven");
      at.classList.add("stale");
    });
    text("h1", "The state of the services is not known.");
    text(".svc .state", "not known: nobody has said anything since");
    text("#valid", "This is too old: nothing on it is known. It was written " + (body.dataset.written || "at an unknown time") + ".");
    document.title = document.querySelector("h1").textContent;
  }

  look();
  setInterval(look, 5000);
})();
