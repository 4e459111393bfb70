#include <algorithm>
#include <nlohmann/json.hpp>

#include "reflect/base/error.h"
#include "reflect/train/plan.h"

namespace reflect {

using Json = nlohmann::ordered_json;
namespace {

constexpr std::int64_t kBarWidth = 24;

// 70553706496 -> "70.6 B".
std::string short_count(std::int64_t number) {
  const auto n = static_cast<double>(number);
  if (n >= 1e9) return fmt::format("{:.1f} B", n / 1e9);
  if (n >= 1e6) return fmt::format("{:.1f} M", n / 1e6);
  return fmt::format("{:.1f} k", n / 1e3);
}

// 12345.6 -> "12,346"; below 100 with three digits.
std::string grouped(double number) {
  if (number < 100) return fmt::format("{:.3g}", number);
  const std::string digits = fmt::format("{:.0f}", number);
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text.push_back(',');
    text.push_back(digits[i]);
  }
  return text;
}

// Amounts of memory in one unit, as bars of what there is.
class MemoryTable {
 public:
  MemoryTable(const Machine& machine, const RunPlan& plan)
      : memory_(machine.memory), unit_(plan.peak < (std::int64_t{4} << 30) ? 20 : 30) {}

  const char* unit() const { return unit_ == 20 ? "MiB" : "GiB"; }
  std::string amount(double bytes) const {
    return fmt::format("{:.{}f}", bytes / static_cast<double>(std::int64_t{1} << unit_),
                       unit_ == 20 ? 1 : 2);
  }
  std::string bar(std::int64_t bytes) const {
    const auto length = static_cast<double>(kBarWidth) * static_cast<double>(bytes) / memory_;
    const auto marks = static_cast<std::size_t>(
        std::clamp(std::lround(length), bytes > 0 ? 1L : 0L, static_cast<long>(kBarWidth)));
    return std::string(marks, '#');
  }
  std::string line(const MemoryItem& item, bool with_bar) const {
    std::string size = amount(static_cast<double>(item.bytes)), note = item.note;
    if (!item.at_peak) {
      size = fmt::format("({})", size);
      note.append(note.empty() ? "" : "; ").append("not at the peak");
    }
    const std::string bars = with_bar && item.at_peak ? bar(item.bytes) : "";
    std::string text =
        fmt::format("  {:<14}{:>10}  {:<{}}  {}", item.kind, size, bars, kBarWidth, note);
    text.erase(text.find_last_not_of(' ') + 1);
    return text + "\n";
  }

 private:
  double memory_;
  int unit_;
};

std::string what_is_planned(const RunShape& run, const RunPlan& plan) {
  const LlamaConfig& model = run.model;
  const std::string method = run.lora ? fmt::format("LoRA, r = {}, {} trained numbers",
                                                    run.lora->rank, short_count(plan.trained))
                                      : "all weights trained";
  return fmt::format("{} weights: {} blocks of {}, {} heads on {}, {} inside, vocabulary {}\n",
                     short_count(model.parameters()), model.num_hidden_layers, model.hidden_size,
                     model.num_attention_heads, model.num_key_value_heads, model.intermediate_size,
                     model.vocab_size) +
         method + "\n";
}

std::string where_it_runs(const RunShape& run, const Machine& machine, const RunPlan& plan) {
  const std::string count =
      machine.is_cpu
          ? fmt::format("{} process{} of {}", machine.ranks(), machine.ranks() == 1 ? "" : "es",
                        machine.name)
          : fmt::format("{} node{} x {} {}", machine.nodes, machine.nodes == 1 ? "" : "s",
                        machine.ranks_of_node, machine.name);
  const std::string dtype = run.base.dtype == at::kFloat ? "fp32" : "bf16";
  const std::string storage = run.base.storage == "dtype" ? dtype : run.base.storage;
  const std::int64_t slices = run.base.tensor_parallel;
  const std::string placement =
      slices == 1 ? run.base.placement : fmt::format("each projection cut over {} ranks", slices);
  return fmt::format(
      "{}, {:.1f} GiB{}\n{}base in {}, computing in {}, recompute {}\n"
      "packs of {} tokens, {} a step\n",
      count, machine.memory / (1 << 30),
      machine.flops > 0 ? fmt::format(" and {:.3g} TFLOP/s each", machine.flops / 1e12) : "",
      run.lora ? placement + ", " : "", storage, dtype, name_of(plan.recompute), run.pack_tokens,
      run.packs_of_step);
}

std::string speed_text(const RunShape& run, const Machine& machine, const RunPlan& plan) {
  if (plan.tokens_per_second <= 0)
    return "tokens/s: not known for this device; name it with --plan.gpu\n";
  std::string text = fmt::format("about {} tokens/s", grouped(plan.tokens_per_second));
  if (machine.ranks() > 1)
    text += fmt::format(", {} a rank",
                        grouped(plan.tokens_per_second / static_cast<double>(machine.ranks())));
  text += fmt::format("; MFU {:.0f} %", 100 * plan.mfu);
  if (plan.hfu > plan.mfu * 1.005)
    text += fmt::format(", with what is computed twice {:.0f} %", 100 * plan.hfu);
  text += "\n";
  if (plan.arriving > 0.005)
    text += fmt::format("{:.0f} % of the time waits for weights to arrive\n", 100 * plan.arriving);
  if (plan.exchanging > 0.005)
    text += fmt::format("{:.0f} % of the time adds up over ranks that compute a pack together\n",
                        100 * plan.exchanging);
  if (plan.busy < 0.995)
    text += fmt::format(
        "{:.0f} % of the ranks' time has no pack: let --gradient_accumulation_steps be a multiple "
        "of {}\n",
        100 * (1 - plan.busy), machine.ranks() / run.base.tensor_parallel);
  return text;
}

}  // namespace

std::string plan_table(const RunShape& run, const Machine& machine, const RunPlan& plan) {
  const MemoryTable table(machine, plan);
  std::string text = what_is_planned(run, plan) + where_it_runs(run, machine, plan);
  text += fmt::format("\nmemory of a rank in {}\n", table.unit());
  for (const MemoryItem& item : plan.device) text += table.line(item, true);
  text += fmt::format("  {:-<24}\n", "");
  text += table.line(
      {"peak",
       fmt::format("{:.0f} % of {}", 100 * static_cast<double>(plan.peak) / machine.memory,
                   table.amount(machine.memory)),
       plan.peak},
      true);
  if (!plan.host.empty()) text += "\nand in host memory\n";
  for (const MemoryItem& item : plan.host) text += table.line(item, false);
  return text + "\n" + speed_text(run, machine, plan);
}

std::string plan_json(const RunShape& run, const Machine& machine, const RunPlan& plan) {
  const auto items = [](const std::vector<MemoryItem>& all) {
    Json list = Json::array();
    for (const MemoryItem& item : all)
      list.push_back({{"kind", item.kind},
                      {"bytes", item.bytes},
                      {"at_peak", item.at_peak},
                      {"note", item.note}});
    return list;
  };
  const Json json = {{"weights", run.model.parameters()},
                     {"trained", plan.trained},
                     {"machine", machine.name},
                     {"nodes", machine.nodes},
                     {"ranks", machine.ranks()},
                     {"recompute", name_of(plan.recompute)},
                     {"memory", items(plan.device)},
                     {"host_memory", items(plan.host)},
                     {"peak_tensor_bytes", plan.tensors},
                     {"peak_bytes", plan.peak},
                     {"bytes_of_a_rank", static_cast<std::int64_t>(machine.memory)},
                     {"fits", fits(plan, machine)},
                     {"tokens_per_second", plan.tokens_per_second},
                     {"mfu", plan.mfu},
                     {"hfu", plan.hfu}};
  return json.dump(2) + "\n";
}

}  // namespace reflect
