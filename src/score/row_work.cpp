#include "score/row_work.h"

namespace reflect {

std::vector<const Pass*> RowWork::passes() const {
  std::vector<const Pass*> all;
  for (const Pass& pass : row.passes) all.push_back(&pass);
  for (const GainPass& gain : gains) {
    all.push_back(&gain.without);
    if (gain.other) all.push_back(&*gain.other);
  }
  return all;
}

std::int64_t RowWork::tokens() const {
  std::int64_t sum = 0;
  for (const Pass* pass : passes()) sum += pass->length();
  return sum;
}

}  // namespace reflect
