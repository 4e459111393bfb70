// A frozen base that no device holds whole: in shares over the ranks of a group, in host memory or
// in its files. A block is brought to the device when it is computed.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "code_source.h"
#include "gathered_units.h"
#include "reflect/dist/process_group.h"
#include "reflect/model/base_config.h"
#include "reflect/model/weights.h"
#include "weight_codec.h"

namespace reflect {

// A checkpoint, how it is held, and the ranks that hold it together; or where `offload`, by this
// one alone, outside of its device's memory.
struct ShardedBase {
  std::string folder;
  BaseConfig base = {};
  ProcessGroup group = {};
  bool offload = false;
  bool own_passes = false;  // see Placement
};

// What is brought at once (a unit): the embedding, each block, the output matrix where it is not
// the embedding. While one is in use the next is on its way: forward through the blocks, and back
// again after the output matrix. A block in few bits is gathered as codes and dequantised into one
// more buffer. So a device holds its share and two units (and one block in the runtime's dtype),
// whatever the model's depth.
class ShardedWeights : public WeightSource {
 public:
  // Reads this rank's share of the checkpoint straight from the mapped files. A projection in few
  // bits is quantised by every rank that gets a part of it, from the whole of it, unless its codes
  // are in a cache.
  ShardedWeights(const ShardedBase& sharded, const LlamaConfig& config, const Runtime& runtime);

  BlockWeights block(std::int64_t layer) override;
  at::Tensor embedding() override;
  at::Tensor final_norm() override { return final_norm_; }
  at::Tensor lm_head() override;
  bool lasting() const override { return false; }
  void leave() override;
  bool own_passes() const { return own_passes_; }
  // Between passes, on all ranks.
  void set_own_passes(bool own);

  std::int64_t share_bytes() const { return units_->share_bytes(); }
  // Of the two units and the block that is dequantised.
  std::int64_t buffer_bytes() const;
  std::int64_t read_bytes() const { return read_bytes_; }  // of the checkpoint's, so far

 private:
  // Bytes [begin, begin + size) of a unit.
  struct Range {
    std::int64_t begin = 0, size = 0;
  };
  // A tensor as its unit holds it: in the runtime's dtype, one piece, or in a codec's pieces.
  struct Place {
    std::string name;
    std::vector<std::int64_t> shape;
    std::optional<WeightCodec> codec;
    std::vector<Range> pieces;
    float absmax_mean = 0;  // of NF4
  };
  struct Unit {
    std::vector<Place> places;
    std::int64_t size = 0;  // in bytes
    void add(Place place, const std::vector<std::int64_t>& piece_sizes);
  };

  std::int64_t width() const { return static_cast<std::int64_t>(c10::elementSize(runtime_.dtype)); }
  void add_plain(Unit& unit, const std::string& name, const std::vector<std::int64_t>& shape) const;
  Unit block_unit(const LlamaConfig& config, std::int64_t layer) const;
  void lay_out(const LlamaConfig& config, bool tied);
  GatheredUnits::Options unit_options(const ShardedBase& sharded);
  void read_unit(std::int64_t unit, const GatheredUnits::Share& share);
  void expect_unit(std::int64_t unit) const;
  void read_plain(const at::Tensor& stored, const Range& range, const GatheredUnits::Share& share);
  void share_absmax_means(ProcessGroup group);
  // The bytes of a unit, whole; `next` is on its way then.
  at::Tensor gather(std::int64_t unit, std::int64_t next);
  at::Tensor gather_block(std::int64_t layer);
  at::Tensor gather_embedding();
  at::Tensor gather_head();
  // Where passes are the ranks' own: whether any rank makes another one.
  bool agree_on_pass(bool wanted);
  at::Tensor plain(const at::Tensor& unit, const Place& place) const;
  void dequantize_block(const at::Tensor& bytes, const Unit& unit, std::int64_t layer);

  Runtime runtime_;
  ProcessGroup group_;
  bool own_passes_;
  std::optional<WeightCodec> codec_;        // of projections
  std::int64_t layers_, head_ = 0;          // head_: the unit with the output matrix
  std::unique_ptr<StreamedWeights> files_;  // kept where blocks are read from them each time
  std::unique_ptr<CodeSource> codes_;       // while loading, where there is a codec
  std::vector<Unit> contents_;
  std::unique_ptr<GatheredUnits> units_;
  BlockBuffer dequantized_;  // where there is a codec
  at::Tensor final_norm_;
  std::int64_t last_ = -1;  // the unit that was asked for last
  std::int64_t read_bytes_ = 0;
  bool at_head_ = false;  // as the output matrix
};

}  // namespace reflect
