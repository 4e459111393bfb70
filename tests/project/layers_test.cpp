// The layers of docs/architecture.md, enforced: an area includes lower layers only.
#include <catch2/catch.hpp>
#include <filesystem>
#include <map>
#include <regex>

#include "reflect/base/file.h"

using namespace reflect;
namespace fs = std::filesystem;

namespace {

const std::map<std::string, int> kLayer = {
    {"base", 0},     {"data", 1},     {"metrics", 1}, {"net", 1},   {"dist", 1},
    {"tasks", 2},    {"model", 2},    {"score", 3},   {"train", 3}, {"recipes", 4},
    {"evaluate", 4}, {"generate", 3}, {"cli", 5}};
const std::vector<std::string> kWithoutTorch = {"base", "data", "metrics", "net", "tasks"};

struct Include {
  std::string file;  // relative to the repository
  std::string area;  // of the file
  std::string path;  // what it includes
};

std::vector<Include> includes_of(const fs::path& file, const std::string& area) {
  static const std::regex kLine(R"(^\s*#\s*include\s*[<"]([^>"]+)[>"])");
  std::vector<Include> includes;
  LineReader lines(file.string());
  while (const auto line = lines.next()) {
    std::cmatch match;
    if (!std::regex_search(line->data(), line->data() + line->size(), match, kLine)) continue;
    includes.push_back({fs::relative(file, REFLECT_SOURCE_DIR).string(), area, match[1]});
  }
  return includes;
}

// Every include of include/reflect/<area> and src/<area>.
std::vector<Include> all_includes() {
  std::vector<Include> all;
  for (const char* root : {"include/reflect", "src"}) {
    const fs::path folder = fs::path(REFLECT_SOURCE_DIR) / root;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (!entry.is_regular_file()) continue;
      const std::string area = fs::relative(entry.path(), folder).begin()->string();
      for (Include& include : includes_of(entry.path(), area)) all.push_back(std::move(include));
    }
  }
  return all;
}

// The area that an include path names, or nothing: "reflect/data/x.h" and "data/x.h" name data.
std::string area_named_by(const std::string& path) {
  const std::string rest = path.starts_with("reflect/") ? path.substr(8) : path;
  const std::string area = rest.substr(0, rest.find('/'));
  return area != rest && kLayer.contains(area) ? area : "";
}

}  // namespace

TEST_CASE("every area has a layer") {
  for (const Include& include : all_includes()) {
    INFO(include.file);
    CHECK(kLayer.contains(include.area));
  }
}

TEST_CASE("areas include lower layers only, never a sibling") {
  const std::vector<Include> includes = all_includes();
  REQUIRE(includes.size() > 100);
  for (const Include& include : includes) {
    const std::string named = area_named_by(include.path);
    if (named.empty() || named == include.area) continue;
    INFO(include.file << " includes " << include.path);
    CHECK(kLayer.at(named) < kLayer.at(include.area));
  }
}

TEST_CASE("a private header is included in its own area only") {
  for (const Include& include : all_includes()) {
    if (include.path.starts_with("reflect/")) continue;
    const std::string named = area_named_by(include.path);
    INFO(include.file << " includes " << include.path);
    CHECK((named.empty() || named == include.area));
  }
}

TEST_CASE("the data library stays free of libtorch, and nothing includes all of it") {
  for (const Include& include : all_includes()) {
    INFO(include.file << " includes " << include.path);
    CHECK(include.path != "torch/torch.h");
    CHECK(include.path != "ATen/ATen.h");
    const bool is_torch = include.path.starts_with("ATen/") || include.path.starts_with("c10/") ||
                          include.path.starts_with("torch/");
    const bool may_not = std::ranges::find(kWithoutTorch, include.area) != kWithoutTorch.end();
    CHECK_FALSE((is_torch && may_not));
  }
}

TEST_CASE("every header is included once") {
  for (const char* root : {"include", "src", "tests"}) {
    for (const auto& entry :
         fs::recursive_directory_iterator(fs::path(REFLECT_SOURCE_DIR) / root)) {
      if (entry.path().extension() != ".h") continue;
      INFO(entry.path());
      CHECK(read_file(entry.path().string()).find("#pragma once\n") != std::string::npos);
    }
  }
}
