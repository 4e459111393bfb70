#include "reflect/recipes/teacher.h"

#include <algorithm>
#include <array>

#include "reflect/base/error.h"

namespace reflect {
namespace {

constexpr std::array<std::string_view, 6> kFinishNames = {
    "end", "stop", "length", "prompt_too_long", "refusal", "failed"};

}  // namespace

std::string_view name_of(ReplyFinish finish) {
  return kFinishNames.at(static_cast<std::size_t>(finish));
}

ReplyFinish reply_finish_named(std::string_view name) {
  const auto found = std::ranges::find(kFinishNames, name);
  if (found == kFinishNames.end()) fail("teacher", "\"{}\" is no way that a reply ends", name);
  return static_cast<ReplyFinish>(found - kFinishNames.begin());
}

bool is_asked(const TeacherConfig& config) {
  return config.kind == "local" || config.kind == "openai";
}

}  // namespace reflect
