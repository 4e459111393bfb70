#include "reflect/base/outputs.h"

#include <catch2/catch.hpp>
#include <filesystem>

#include "reflect/base/error.h"
#include "reflect/base/file.h"
#include "temp_folder.h"

using namespace reflect;
using Catch::Matchers::Contains;

TEST_CASE("an output is never an input or another output, by whatever name") {
  const TempFolder folder;
  write_file_atomic(folder / "in.jsonl", "1\n");
  std::filesystem::create_symlink(folder / "in.jsonl", folder / "link.jsonl");
  const std::vector<NamedPath> inputs = {{"input", folder / "in.jsonl"}, {"adapter", ""}};
  const auto check = [&](const std::string& output, const std::string& selected) {
    check_outputs("score", {{"output", output}, {"selected", selected}}, inputs);
  };
  CHECK_NOTHROW(check(folder / "out.jsonl", folder / "kept.jsonl"));
  CHECK_NOTHROW(check("-", ""));
  CHECK_NOTHROW(check("/dev/null", "/dev/null"));
  CHECK_THROWS_WITH(check(folder / "in.jsonl", ""),
                    Contains("--output") && Contains("would replace the file of --input"));
  CHECK_THROWS_WITH(check(folder / "x.jsonl", folder / "link.jsonl"), Contains("--selected"));
  CHECK_THROWS_WITH(check(folder.path() + "/./y.jsonl", folder / "y.jsonl"),
                    Contains("would replace the file of --output"));
  CHECK_THROWS_WITH(check(folder / "none/out.jsonl", ""), Contains("there is no folder"));
}
