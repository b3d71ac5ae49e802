#include "report/page.h"

#include <cctype>
#include <utility>

#include "base/strings.h"
#include "report/json.h"
#include "report/text.h"

namespace espalier {
namespace {

constexpr char kStyle[] =
#include "report/page_style.inc"
    ;
constexpr char kScript[] =
#include "report/page_script.inc"
    ;

// JSON inside <script>: "<" only occurs in its strings, where < is the same letter.
std::string ScriptJson(const Json& json) {
  std::string safe;
  for (const char c : PrintJson(json, -1)) {
    if (c == '<') {
      safe += "\\u003c";
    } else {
      safe += c;
    }
  }
  return safe;
}

}  // namespace

std::string Typeset(const std::string& text) {
  std::string html = EscapeHtml(text);
  if (html.starts_with("us per")) html = "&micro;s" + html.substr(2);
  const size_t arrow = html.find(" -&gt; ");
  if (arrow != std::string::npos) html.replace(arrow, 7, " &rarr; ");
  const size_t times = html.find("x ");
  const bool after_digit = times != std::string::npos && times > 0 &&
                           std::isdigit(static_cast<unsigned char>(html[times - 1])) != 0;
  if (after_digit) html = html.substr(0, times) + "&times;" + html.substr(times + 1);
  if (html == "-") return "&ndash;";
  return html.starts_with('-') ? "&minus;" + html.substr(1) : html;
}

PageWriter::PageWriter(const std::string& title, const std::string& kind, const std::string& lead) {
  html_ = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n";
  html_ += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
  // The page asks nobody for anything; the libraries compile expressions, hence unsafe-eval.
  html_ +=
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
      "style-src 'unsafe-inline'; script-src 'unsafe-inline' 'unsafe-eval'\">\n";
  html_ += StrCat("<title>", EscapeHtml(title), " - ", EscapeHtml(kind), "</title>\n<style>",
                  kStyle, "</style>\n</head>\n<body>\n<header>\n<p class=\"kicker\">",
                  EscapeHtml(kind), "</p>\n", "<h1>", EscapeHtml(title),
                  "</h1>\n<p class=\"lead\">", EscapeHtml(lead), "</p>\n</header>\n<main>\n");
}

void PageWriter::OpenSection(const char* id, const std::string& title, const std::string& note) {
  html_ += StrCat("<section aria-labelledby=\"", id, "\">\n<h2 id=\"", id, "\">", EscapeHtml(title),
                  "</h2>\n");
  if (!note.empty()) html_ += StrCat("<p class=\"note\">", EscapeHtml(note), "</p>\n");
}

void PageWriter::Absent(const std::string& sentence) {
  html_ += StrCat("<p class=\"absent\">", EscapeHtml(sentence), "</p>\n");
}

void PageWriter::Charts(const std::vector<Chart>& charts, const char* layout) {
  html_ += StrCat("<div class=\"", layout, "\">\n");
  for (const Chart& chart : charts) {
    const std::string id = StrCat("chart-", ++charts_);
    html_ += StrCat("<figure>\n<h3>", EscapeHtml(chart.title),
                    "</h3>\n<div class=\"chart\" role=\"img\" aria-label=\"",
                    EscapeHtml(chart.description), "\" data-spec=\"", id, "\"></div>\n");
    html_ += StrCat("<script type=\"application/json\" id=\"", id, "\">", ScriptJson(chart.spec),
                    "</script>\n</figure>\n");
  }
  html_ += "</div>\n";
}

std::string PageWriter::Finish(const std::string& made_from, const ChartLibraries& libraries) {
  html_ += StrCat("</main>\n<footer><p>Made by espalier ", EscapeHtml(made_from),
                  " Charts by Vega, Vega-Lite and Vega-Embed (BSD 3-Clause, University of "
                  "Washington Interactive Data Lab), embedded in this file.</p></footer>\n");
  html_ += StrCat("<script type=\"application/json\" id=\"chart-config\">",
                  ScriptJson(ChartConfig()), "</script>\n<script>\n");
  html_ += libraries.script;
  html_ += StrCat("</script>\n<script>", kScript, "</script>\n</body>\n</html>\n");
  return std::exchange(html_, "");
}

}  // namespace espalier
