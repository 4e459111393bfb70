// A configuration as its plan: --plan, and the first lines of a run.
#pragma once

#include "reflect/dist/launch.h"
#include "reflect/model/runtime.h"
#include "reflect/train/plan.h"
#include "reflect/train/train.h"

namespace reflect {

// The run of a configuration in which every position of a pack is trained.
RunShape run_shape_of(const TrainConfig& config, at::ScalarType dtype);

// This machine with `ranks` processes on it.
Machine machine_at_hand(const Runtime& runtime, std::int64_t nodes, std::int64_t ranks_of_node);

// FLOP/s that this process's part of a CPU or its GPU can reach, for MFU: matrix products of
// the run's type, timed for some 30 ms; a GPU's data sheet; 0: not known.
double peak_flops(const Runtime& runtime);

// Prints the plan of rank 0. Throws Error (usage) with the smallest change that fits where it does
// not fit.
ExitCode show_plan(const TrainConfig& config, const LaunchEnvironment& place);

// What a rank will take, in one line.
std::string memory_summary(const RunPlan& plan);

}  // namespace reflect
