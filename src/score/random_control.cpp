#include "score/random_control.h"

#include <algorithm>
#include <unordered_set>

#include "reflect/base/hash.h"
#include "reflect/base/random.h"

namespace reflect {

std::vector<std::size_t> random_control(const Candidates& candidates, const SelectionConfig& config,
                                        std::size_t count, std::uint64_t seed) {
  struct Draw {
    std::uint64_t key;
    std::size_t row;
  };
  std::vector<Draw> draws;
  for (std::size_t i = 0; i < candidates.list().size(); ++i) {
    const Candidate& candidate = candidates.list()[i];
    const bool scored =
        candidate.status == ScoreStatus::kOk || candidate.status == ScoreStatus::kPrefiltered;
    if (!scored || candidate.correct == false || candidate.contaminated) continue;
    draws.push_back({random_key(seed, "random_control", {content_hash64(candidates.id(i)), i}), i});
  }
  std::sort(draws.begin(), draws.end(), [](const Draw& a, const Draw& b) { return a.key < b.key; });
  std::vector<std::size_t> rows;
  std::unordered_set<std::string> groups;
  for (const Draw& draw : draws) {
    if (rows.size() == count) break;
    const std::string& group = candidates.list()[draw.row].group;
    if (config.policy.starts_with("selective") && !groups.insert(group).second) continue;
    rows.push_back(draw.row);
  }
  std::sort(rows.begin(), rows.end());
  return rows;
}

}  // namespace reflect
