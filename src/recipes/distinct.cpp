#include "recipes/distinct.h"

#include "reflect/base/error.h"

namespace reflect {

DistinctRows::DistinctRows(const Recipe& recipe) {
  for (std::size_t i = 0; i < recipe.steps.size(); ++i) {
    const auto* step = std::get_if<DistinctStep>(&recipe.steps[i].settings);
    if (step == nullptr) continue;
    NearDuplicateConfig config;
    config.shingle_words = static_cast<std::size_t>(step->shingle_words);
    config.lowest_threshold = step->similarity;
    kept_.emplace(i, Kept{NearDuplicateFilter(config), {}});
  }
}

void DistinctRows::judge(TraceRow& row) {
  if (row.fate != Fate::kAccepted) return;
  std::vector<std::pair<Kept*, NearDuplicateFilter::Text>> texts;
  for (const auto& [step, text] : row.distinct) {
    Kept& kept = kept_.at(step);
    texts.emplace_back(&kept, kept.texts.read(Words(text)));
    const auto match = kept.texts.find(texts.back().second);
    if (!match) continue;
    row.at_step = DistinctStep::kKind;
    return row.reject("near_duplicate", fmt::format("{:.2f} like the row of problem {}",
                                                    match->similarity, kept.places[match->text]));
  }
  for (auto& [kept, text] : texts) {
    kept->texts.keep(std::move(text));
    kept->places.push_back(row.task->place);
  }
}

}  // namespace reflect
