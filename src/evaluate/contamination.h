// How much of the test problems stands in the training rows.
#pragma once

#include <string>
#include <vector>

#include "evaluate/problems.h"

namespace reflect {

struct Contamination {
  std::string train_rows;            // the file
  std::int64_t rows = 0;             // training rows looked at
  std::vector<std::string> exact;    // ids of problems whose prompt is a training row's prompt
  std::vector<std::string> partial;  // ids of other problems that share 13 words in a row with one
};

// Words are those of data/ngram.h: case and punctuation do not count. A problem of fewer than 13
// words shares "13 words" when all of its words stand in a row somewhere. Thirteen words is the
// length of Brown et al. 2020, arXiv 2005.14165, appendix C.
Contamination measure_contamination(const std::vector<Problem>& problems,
                                    const std::string& train_rows);

}  // namespace reflect
