#include <algorithm>

#include "recipes/manifest.h"
#include "reflect/base/error.h"

namespace reflect {
namespace {

std::int64_t sum_of(const Json& counts) {
  std::int64_t sum = 0;
  for (const auto& [name, count] : counts.items()) sum += count.get<std::int64_t>();
  return sum;
}

std::string share(double part, double whole) {
  return whole == 0 ? "" : fmt::format("{:.1f} %", 100 * part / whole);
}

// A table of counts with their shares of `whole`; nothing for no counts.
std::string table(std::string_view title, const Json& counts, std::int64_t whole) {
  if (counts.empty()) return {};
  std::string text = fmt::format("| {} | rows | share |\n|---|---:|---:|\n", title);
  for (const auto& [name, count] : counts.items()) {
    text += fmt::format("| {} | {} | {} |\n", name, count.get<std::int64_t>(),
                        share(count.get<double>(), static_cast<double>(whole)));
  }
  return text + "\n";
}

std::string source_of(const Json& settings) {
  const std::string input = settings.value("input", "");
  if (!input.empty()) return input == "-" ? "standard input" : "`" + input + "`";
  return fmt::format("generated: {} problems of {} steps", settings.value("procedural.family", ""),
                     settings.value("procedural.operations", ""));
}

std::string models_text(const Json& models) {
  std::string text;
  for (const Json& model : models) {
    text += fmt::format("- {}", model.value("kind", ""));
    if (model.contains("name")) text += fmt::format(" ({})", model.value("name", ""));
    if (model.contains("model")) text += fmt::format(": `{}`", model.value("model", ""));
    if (model.contains("adapter")) text += fmt::format(" with `{}`", model.value("adapter", ""));
    if (model.contains("temperature")) {
      text += fmt::format(", temperature {}", model.value("temperature", 0.0));
    }
    text += "\n";
  }
  return text;
}

std::string made_text(const Json& manifest) {
  std::string text = fmt::format(
      "## How it was made\n\n{} by the recipe `{}` (hash `{}`): {} Seed {}. Problems: {}.\n\n"
      "Teachers:\n{}\n",
      manifest.value("tool", ""), manifest.value("recipe", ""), manifest.value("recipe_hash", ""),
      manifest.value("recipe_summary", ""), manifest.value("seed", std::int64_t{0}),
      source_of(manifest.at("settings")), models_text(manifest.at("models")));
  const std::string system = manifest.value("system_prompt", "");
  text += system.empty()
              ? "Rows have no system message from the recipe.\n\n"
              : fmt::format("System message of the rows (hash `{}`):\n\n```\n{}\n```\n\n",
                            manifest.value("system_prompt_hash", ""), system);
  if (manifest.contains("replies")) {
    const Json& replies = manifest["replies"];
    text += fmt::format(
        "Models were asked {} times: {} prompt and {} completion tokens, {:.4f} US dollars.\n\n",
        replies.value("replies", std::int64_t{0}), replies.value("prompt_tokens", std::int64_t{0}),
        replies.value("completion_tokens", std::int64_t{0}), replies.value("usd", 0.0));
  }
  return text;
}

std::string yields_text(const Json& counts) {
  const auto rows = counts.value("rows", std::int64_t{0});
  const auto accepted = counts.value("accepted", std::int64_t{0});
  std::string text = fmt::format(
      "## Yields\n\n| | rows | share |\n|---|---:|---:|\n| all, of {} problems | {} | |\n"
      "| accepted | {} | {} |\n| rejected | {} | {} |\n| not used | {} | {} |\n\n",
      counts.value("problems", std::int64_t{0}), rows, accepted,
      share(static_cast<double>(accepted), static_cast<double>(rows)),
      sum_of(counts.at("rejected")),
      share(static_cast<double>(sum_of(counts.at("rejected"))), static_cast<double>(rows)),
      sum_of(counts.at("not_used")),
      share(static_cast<double>(sum_of(counts.at("not_used"))), static_cast<double>(rows)));
  text += "Accepted rows by the weakest proof of their mistakes (`clean`: none).\n\n";
  text += table("proof", counts.at("proofs"), accepted);
  text += table("rejected at: because", counts.at("rejected"), rows);
  text += table("not used because", counts.at("not_used"), rows);
  return text;
}

std::string errors_text(const Json& manifest) {
  const Json& counts = manifest.at("counts");
  std::string text = "## Mistakes\n\n";
  if (counts.at("mistakes").empty()) return text + "The rows have none.\n\n";
  text += table("kind (proof)", counts.at("mistakes"), sum_of(counts.at("mistakes")));
  const Json& profiles = manifest.at("error_profile");
  const ErrorProfile own = profile_of(profiles.at("own"), "own");
  std::optional<ErrorProfile> wanted;
  if (profiles.contains("wanted")) wanted = profile_of(profiles["wanted"], "wanted");
  const std::vector<ProfileLine> lines = compare(own, wanted ? &*wanted : nullptr);
  if (lines.empty()) return text;
  text += "Of the mistakes whose kind, place or notice is known";
  text += wanted
              ? ", beside the profile that was asked for:\n\n| | here | wanted |\n|---|---:|---:|\n"
              : ":\n\n| | share |\n|---|---:|\n";
  for (const ProfileLine& line : lines) {
    text += fmt::format("| {} | {} |", line.name, share(line.own, 1));
    if (wanted) text += fmt::format(" {} |", line.wanted ? share(*line.wanted, 1) : "");
    text += "\n";
  }
  return text + "\n";
}

}  // namespace

std::string data_card(const Json& manifest) {
  const Json& counts = manifest.at("counts");
  const bool pairs = manifest.value("format", "") == "dpo";
  std::string text = fmt::format(
      "# Data card\n\n{} {} (`--format {}`, JSON Lines). Responses reason inside `<thinking>`, say "
      "in "
      "`<reflection>` what was wrong, and give the answer inside `<output>`. Mistakes are not "
      "tagged "
      "in the text; rows of the project's own mark them as byte spans, each with a proof.\n\n"
      "Licence: (fill in; the licences of the problems and the terms of the teachers' models bind "
      "it)\n\nContact: (fill in)\n\n",
      counts.value("accepted", std::int64_t{0}),
      pairs ? "pairs of a mended and a flawed response" : "reasoning traces",
      manifest.value("format", ""));
  text += made_text(manifest) + yields_text(counts) + errors_text(manifest);
  text +=
      "## Limits\n\n"
      "- `executed` mistakes were recomputed and are wrong; `annotated` rests on a person's mark, "
      "`judged` on a model's quote, `none` has no place.\n"
      "- Final answers were checked against the given ones. The text between equations was not.\n"
      "- Problems stand under their own licence and may be in the training data of models; "
      "evaluate "
      "on other ones.\n"
      "- (fill in: what the rows must not be used for, known biases of the problems)\n";
  return text;
}

}  // namespace reflect
