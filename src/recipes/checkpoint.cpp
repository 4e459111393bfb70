#include "recipes/checkpoint.h"

#include <algorithm>
#include <array>

#include "reflect/base/config.h"
#include "reflect/base/error.h"
#include "reflect/base/hash.h"

namespace reflect {
namespace {

constexpr std::string_view kTeacher = "teacher.";

// The others say how far a run goes, how it is shown, or how a teacher is reached. What is read
// from `input` is compared by its content, and what `error-profile` says is in the recipe's hash.
bool shapes_rows(std::string_view path) {
  constexpr std::array<std::string_view, 15> others = {
      "accept",       "budget.tokens", "budget.usd",    "count",        "output",
      "estimate",     "threads",       "log-level",     "quiet",        "show-prompt",
      "list-recipes", "input",         "error-profile", "launch.nproc", "launch.timeout"};
  constexpr std::array<std::string_view, 17> of_teacher = {"url",
                                                           "key-env",
                                                           "max-in-flight",
                                                           "requests-per-minute",
                                                           "tokens-per-minute",
                                                           "attempts",
                                                           "backoff",
                                                           "max-backoff",
                                                           "max-pause",
                                                           "connect-timeout",
                                                           "timeout",
                                                           "low-speed-seconds",
                                                           "low-speed-bytes",
                                                           "ca-file",
                                                           "placement",
                                                           "hybrid.group",
                                                           "base.cache"};
  if (path.starts_with(kTeacher)) {
    return std::ranges::find(of_teacher, path.substr(kTeacher.size())) == of_teacher.end();
  }
  return std::ranges::find(others, path) == others.end();
}

Json json_of(const UsedReplies& used, std::int64_t stored) {
  Json json = json_of(used);
  json["stored"] = stored;
  return json;
}

UsedReplies used_of(const Json& json) {
  UsedReplies used;
  used.replies = json.at("replies");
  used.stored = json.at("stored");
  used.prompt_tokens = json.at("prompt_tokens");
  used.completion_tokens = json.at("completion_tokens");
  used.usd = json.at("usd");
  if (!json.at("finishes").is_null()) json.at("finishes").get_to(used.finishes);
  return used;
}

}  // namespace

std::string text_of(const RunCheckpoint& checkpoint) {
  return Json{
      {"version", REFLECT_VERSION},
      {"command", checkpoint.command},
      {"source", {checkpoint.source.items, checkpoint.source.hash}},
      {"output", {checkpoint.output.accepted, checkpoint.output.rejected, checkpoint.output.rows}},
      {"distinct", checkpoint.distinct},
      {"clean", checkpoint.clean},
      {"counts", json_of(checkpoint.counts)},
      {"used", json_of(checkpoint.used, checkpoint.used.stored)}}
      .dump();
}

std::optional<RunCheckpoint> read_checkpoint(const std::string& text) {
  try {
    const Json json = Json::parse(text);
    if (json.at("version") != REFLECT_VERSION) return std::nullopt;
    RunCheckpoint checkpoint;
    checkpoint.command = json.at("command");
    checkpoint.source = {json.at("source").at(0), json.at("source").at(1)};
    const Json& output = json.at("output");
    checkpoint.output = {output.at(0), output.at(1), output.at(2)};
    checkpoint.distinct = json.at("distinct");
    checkpoint.clean = json.at("clean");
    checkpoint.counts = read_counts(json.at("counts"));
    checkpoint.used = used_of(json.at("used"));
    // What this program counts and that one did not, or the other way round.
    if (text_of(checkpoint) != text) return std::nullopt;
    return checkpoint;
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

std::string command_hash(const SynthesizeConfig& config, const Recipe& recipe,
                         const std::vector<std::string>& identities) {
  Json json = {{"version", REFLECT_VERSION}, {"recipe", recipe.hash}, {"asked", identities}};
  SynthesizeConfig copy = config;
  for (const Field& field : fields_of(copy)) {
    if (!std::holds_alternative<StructList>(field.value) && shapes_rows(field.path)) {
      json["settings"][field.path] = text_of(field);
    }
  }
  for (TeacherConfig& teacher : copy.teachers) {
    Json settings;
    for (const Field& field : fields_of(teacher)) {
      if (shapes_rows(fmt::format("{}{}", kTeacher, field.path)))
        settings[field.path] = text_of(field);
    }
    json["teachers"].push_back(std::move(settings));
  }
  return content_hash(json.dump());
}

}  // namespace reflect
