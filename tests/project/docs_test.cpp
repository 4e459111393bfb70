// The documentation names only files that exist.
#include <catch2/catch.hpp>
#include <filesystem>
#include <regex>

#include "reflect/base/file.h"

using namespace reflect;
namespace fs = std::filesystem;

namespace {

const fs::path kRoot = REFLECT_SOURCE_DIR;

std::vector<fs::path> pages() {
  std::vector<fs::path> pages;
  for (const fs::path& folder : {kRoot, kRoot / "docs"}) {
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (entry.path().extension() == ".md") pages.push_back(entry.path());
    }
  }
  return pages;
}

std::vector<std::string> matches(const std::string& text, const char* pattern) {
  const std::regex regex(pattern);
  std::vector<std::string> found;
  for (std::sregex_iterator it(text.begin(), text.end(), regex), end; it != end; ++it) {
    found.push_back((*it)[1]);
  }
  return found;
}

}  // namespace

TEST_CASE("paths in backticks exist") {
  // `src/base/file.cpp`, `docs/`, `scripts/test.sh --flag`; patterns like `x_<area>.cpp` are not
  // paths.
  constexpr const char* kPath =
      "`((?:\\.ci|bench|cmake|configs|data|docs|include|scripts|src|tests)/[\\w./-]*)[` ]";
  std::size_t checked = 0;
  for (const fs::path& page : pages()) {
    for (const std::string& path : matches(read_file(page.string()), kPath)) {
      INFO(page << " names " << path);
      CHECK(fs::exists(kRoot / path));
      ++checked;
    }
  }
  CHECK(checked > 10);
}

TEST_CASE("links between pages lead somewhere") {
  for (const fs::path& page : pages()) {
    for (const std::string& link : matches(read_file(page.string()), R"(\]\(([^)#: ]+)[)#])")) {
      INFO(page << " links to " << link);
      CHECK(fs::exists(page.parent_path() / link));
    }
  }
}
