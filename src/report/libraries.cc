#include "base/file.h"
#include "base/strings.h"
#include "report/html.h"

namespace espalier {
namespace {

void ReplaceAll(std::string_view from, std::string_view to, std::string* text) {
  for (size_t at = text->find(from); at != std::string::npos;
       at = text->find(from, at + to.size())) {
    text->replace(at, from.size(), to);
  }
}

Result<std::string> ReadPart(const std::string& path) {
  Result<std::string> text = ReadTextFile(path);
  if (text.ok()) return text;
  return IoError(StrCat(text.status().message(),
                        "; the report's charts need it, and `tools/setup quickstart` in the "
                        "checkout gets it from npm"));
}

}  // namespace

Result<ChartLibraries> LoadChartLibraries(const std::string& node_modules) {
  ChartLibraries libraries;
  for (const std::string name : {"vega", "vega-lite", "vega-embed"}) {
    const std::string folder = StrCat(node_modules, "/", name);
    ESPALIER_ASSIGN_OR_RETURN(std::string licence, ReadPart(folder + "/LICENSE"));
    ESPALIER_ASSIGN_OR_RETURN(std::string code,
                              ReadPart(StrCat(folder, "/build/", name, ".min.js")));
    ReplaceAll("*/", "* /", &licence);
    ReplaceAll("//# sourceMappingURL=", "// source map: ", &code);  // a file that is not there
    libraries.script += StrCat("/*! ", name, "\n", licence, "*/\n", code, "\n");
  }
  // Inside <script> these end it or change how it is read; in JavaScript's strings, the one place
  // where they occur, the backslash means nothing.
  ReplaceAll("</script", "<\\/script", &libraries.script);
  ReplaceAll("<!--", "<\\!--", &libraries.script);
  return libraries;
}

}  // namespace espalier
