// The HTML page about a run: score histograms, IFD against r-IFD, the gates' funnel, sensitivity,
// and rows to read.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "score/receipt.h"

namespace reflect {

// Rows that the page shows, under a heading that says why.
struct ExampleGroup {
  std::string title, note;
  std::vector<std::size_t> rows;
};

// Highest and lowest IFD among kept rows, those next to a threshold on either side, and the lowest
// span gain.
std::vector<ExampleGroup> example_groups(const ScoreConfig& config, const Candidates& candidates,
                                         const Selection& selection);

struct ReportInput {
  const ScoreConfig& config;
  const Candidates& candidates;
  const Selection& selection;
  const Receipt& receipt;
  std::vector<ExampleGroup> groups;
  std::map<std::size_t, Json> examples;  // the decided rows that the groups name
};

// A self-contained document; all text of rows is escaped.
std::string report_html(const ReportInput& input);

}  // namespace reflect
