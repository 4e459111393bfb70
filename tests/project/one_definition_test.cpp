// A type's name stands for one type: two headers that define another under the same name in the
// same namespace break the one-definition rule, and the linker merges their functions without a
// word.
#include <catch2/catch.hpp>
#include <filesystem>
#include <map>
#include <regex>

#include "reflect/base/file.h"

using namespace reflect;
namespace fs = std::filesystem;

namespace {

// "namespace::Name" of each type that a header defines outside of classes, with the file's name.
std::multimap<std::string, std::string> types_of_headers() {
  static const std::regex kNamespace(R"(^namespace ([\w:]+) \{)");
  static const std::regex kType(R"(^(?:struct|class|enum class) (\w+)\b[^;]*$)");
  std::multimap<std::string, std::string> types;
  for (const char* root : {"include", "src"}) {
    for (const auto& entry :
         fs::recursive_directory_iterator(fs::path(REFLECT_SOURCE_DIR) / root)) {
      if (entry.path().extension() != ".h") continue;
      std::string space;
      LineReader lines(entry.path().string());
      while (const auto line = lines.next()) {
        std::cmatch match;
        const char* end = line->data() + line->size();
        if (std::regex_search(line->data(), end, match, kNamespace)) space = match[1];
        if (std::regex_search(line->data(), end, match, kType)) {
          types.emplace(space + "::" + match[1].str(),
                        fs::relative(entry.path(), REFLECT_SOURCE_DIR).string());
        }
      }
    }
  }
  return types;
}

}  // namespace

TEST_CASE("a type is defined in one header") {
  const auto types = types_of_headers();
  REQUIRE(types.contains("reflect::Tokenizer"));
  for (auto type = types.begin(); type != types.end(); type = types.upper_bound(type->first)) {
    std::string files;
    const auto [first, last] = types.equal_range(type->first);
    for (auto each = first; each != last; ++each) files.append(each->second).append(" ");
    INFO(type->first << ": " << files);
    CHECK(std::distance(first, last) == 1);
  }
}
