// PageWriter: one HTML page, complete in itself (no network, no other file), for screen and paper,
// light and dark: its head, sections with charts, and its foot with the libraries that draw them.
#ifndef ESPALIER_REPORT_PAGE_H_
#define ESPALIER_REPORT_PAGE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "report/charts.h"
#include "report/html.h"

namespace espalier {

// Escapes, and sets "us", "->", "3.2x" and "-0.30" as a printer would.
std::string Typeset(const std::string& text);

class PageWriter {
 public:
  // Texts are escaped here; `kind` is the line above the title, e.g. "espalier report".
  PageWriter(const std::string& title, const std::string& kind, const std::string& lead);

  // Adds markup as it is.
  void Add(const std::string& html) { html_ += html; }

  // `id` is unique in the page; no `note`, no paragraph.
  void OpenSection(const char* id, const std::string& title, const std::string& note);
  void CloseSection() { html_ += "</section>\n"; }
  // A sentence where something is missing.
  void Absent(const std::string& sentence);
  // `layout`: "grid" or "stack" (page_style.inc).
  void Charts(const std::vector<Chart>& charts, const char* layout);

  // The whole page; the writer is empty afterwards. `made_from` ends "Made by espalier".
  std::string Finish(const std::string& made_from, const ChartLibraries& libraries);

 private:
  std::string html_;
  int64_t charts_ = 0;
};

}  // namespace espalier

#endif  // ESPALIER_REPORT_PAGE_H_
