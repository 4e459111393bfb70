#include "reflect/tasks/code_checker.h"

#include <nlohmann/json.hpp>
#include <random>

#include "reflect/base/error.h"
#include "reflect/base/white_space.h"

namespace reflect {
namespace {

// Code and tests share their names. The mark shows that the end was reached and not only left early
// with exit code 0.
constexpr std::string_view kDriver = R"(
import json, os, sys
code, tests, mark = json.loads({})
scope = {{"__name__": "answer"}}
try:
    exec(compile(code, "answer", "exec"), scope)
except BaseException as error:
    os._exit(3)
try:
    exec(compile(tests, "tests", "exec"), scope)
except BaseException as error:
    os._exit(4)
sys.stdout.flush()
os.write(1, mark.encode())
os._exit(0)
)";
constexpr int kCodeFailed = 3;

std::string new_mark() {
  std::random_device random;
  return fmt::format("\n{:08x}{:08x}{:08x}{:08x}", random(), random(), random(), random());
}

std::string text_of(const nlohmann::json& json) {
  return json.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

std::string reason_of(const SandboxResult& result, const std::string& mark) {
  switch (result.end) {
    case SandboxResult::End::kTimeout:
      return "timeout";
    case SandboxResult::End::kTooVerbose:
      return "too_verbose";
    case SandboxResult::End::kSignaled:
      return "killed";
    case SandboxResult::End::kExited:
      break;
  }
  if (result.code == kCodeFailed) return "error";
  return result.code == 0 && result.output.ends_with(mark) ? "right" : "wrong";
}

}  // namespace

std::string_view code_of(std::string_view answer) {
  std::string_view code = answer, rest = answer;
  while (true) {
    const std::size_t fence = rest.find("```");
    const std::size_t begin = rest.find('\n', fence);
    if (fence == rest.npos || begin == rest.npos) return code;
    const std::size_t end = rest.find("```", begin);
    code = rest.substr(begin + 1, end == rest.npos ? rest.npos : end - begin - 1);
    if (end == rest.npos) return code;
    rest.remove_prefix(end + 3);
  }
}

Verdict check_unit_tests(std::string_view answer, std::string_view tests,
                         const SandboxLimits& limits) {
  if (trimmed(tests).empty()) return {false, "bad_gold", ""};
  const std::string code(code_of(answer));
  if (trimmed(code).empty()) return {false, "empty", ""};
  const std::string mark = new_mark();
  // A JSON text of ASCII alone, written as JSON once more, is a Python literal of that text.
  const std::string both = text_of(nlohmann::json{code, tests, mark});
  const SandboxResult result = run_python(fmt::format(kDriver, text_of(both)), limits);
  std::string reason = reason_of(result, mark);
  const bool right = reason == "right";
  return {right, std::move(reason), code};
}

}  // namespace reflect
