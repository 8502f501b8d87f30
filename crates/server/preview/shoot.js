// Looks at the rendered pages: node shoot.js FOLDER OUT [name ...]. Needs playwright-core and chromium; nothing but file:// is opened.
const { chromium } = require(process.env.PLAYWRIGHT || "playwright-core");
const fs = require("fs"), path = require("path");
(async () => {
  const [folder, out, ...only] = process.argv.slice(2);
  fs.mkdirSync(out, { recursive: true });
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"] });
  let bad = 0;
  for (const [width, height, scheme] of [[1440, 1000, "light"], [1440, 1000, "dark"], [390, 844, "light"], [390, 844, "dark"], [820, 1000, "light"]]) {
    const page = await browser.newPage({ viewport: { width, height }, colorScheme: scheme });
    page.on("dialog", (d) => { console.log("DIALOG", page.url()); bad++; d.dismiss(); });
    page.on("pageerror", (e) => { console.log("ERROR", page.url(), e.message); bad++; });
    page.on("request", (r) => { if (!r.url().startsWith("file:") && !r.url().startsWith("data:")) { console.log("REQUEST", r.url()); bad++; } });
    for (const file of fs.readdirSync(folder).filter((f) => f.endsWith(".html"))) {
      const name = file.replace(".html", "");
      if (only.length && !only.includes(name)) continue;
      await page.goto("file://" + path.resolve(folder, file));
      const wide = await page.evaluate(() => {
        const w = document.documentElement.clientWidth;
        if (document.documentElement.scrollWidth <= w) return "";
        return [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > w + 1 && !e.closest(".scroll, .nav, .hide, .skip")).slice(0, 4).map((e) => e.tagName + "." + (e.className.baseVal ?? e.className)).join(" ") || "?";
      });
      if (wide) { console.log("SCROLLS", width, name, wide); bad++; }
      await page.screenshot({ path: path.join(out, `${name}-${width}-${scheme}.png`), fullPage: true });
    }
    await page.close();
  }
  await browser.close();
  console.log(bad ? bad + " complaints" : "no complaints");
})();
