// Groups whose ranks are threads of the test: sockets and collectives are the real ones.
#include "reflect/dist/process_group.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <catch2/catch.hpp>

#include "dist/ranks.h"
#include "reflect/base/error.h"

using namespace reflect;
using std::chrono::milliseconds;

TEST_CASE("in a group of one every operation is the identity") {
  ProcessGroup group;
  CHECK(group.rank() == 0);
  CHECK(group.size() == 1);
  const at::Tensor part = at::arange(3, at::kFloat), parts = at::zeros({3});
  group.all_gather(parts, part).wait();
  CHECK(at::equal(parts, part));
  group.all_reduce(part);
  group.broadcast(part);
  group.barrier();
  CHECK(at::equal(part, at::arange(3, at::kFloat)));
  CHECK(group.sum(2.5) == 2.5);
}

TEST_CASE("collectives give every rank the same") {
  const int size = GENERATE(2, 3, 4);
  const at::ScalarType dtype = GENERATE(at::kFloat, at::kBFloat16);
  CAPTURE(size, c10::toString(dtype));
  const auto failures = run_ranks(size, [&](ProcessGroup& group) {
    const at::Tensor base = at::arange(5, at::kFloat).to(dtype);
    const at::Tensor sum = base + group.rank();
    group.all_reduce(sum);
    require(at::equal(sum, base * size + size * (size - 1) / 2), "all_reduce");

    const at::Tensor parts = at::zeros({size * 5}, base.options());
    group.all_gather(parts, base + 10 * group.rank()).wait();
    for (int r = 0; r < size; ++r)
      require(at::equal(parts.narrow(0, 5 * r, 5), base + 10 * r), "all_gather");

    const at::Tensor sent = base * group.rank();
    group.broadcast(sent, size - 1);
    require(at::equal(sent, base * (size - 1)), "broadcast");

    require(group.sum(0.5 + group.rank()) == 0.5 * size + size * (size - 1) / 2, "sum");
    require(group.max(group.rank() == 1 ? 7 : 3) == 7, "max");
  });
  CHECK(failures == std::vector<std::string>(static_cast<std::size_t>(size)));
}

TEST_CASE("a sum has the same bits in every run and on every rank") {
  at::Tensor results[2][3];
  for (auto& result : results)
    run_ranks(3, [&](ProcessGroup& group) {
      auto generator = at::make_generator<at::CPUGeneratorImpl>(group.rank());
      at::Tensor values = at::randn({100000}, generator);
      group.all_reduce(values);
      result[group.rank()] = values;
    });
  for (const auto& result : results)
    for (const at::Tensor& values : result) CHECK(at::equal(values, results[0][0]));
}

TEST_CASE("a gather runs beside other collectives") {
  const auto failures = run_ranks(2, [&](ProcessGroup& group) {
    const at::Tensor part = at::full({1000}, group.rank() + 1.0), parts = at::zeros({2000});
    Collective gather = group.all_gather(parts, part);
    require(group.sum(1) == 2, "sum");
    gather.wait();
    require(parts.sum().item<double>() == 3000, "gather");
  });
  CHECK(failures == std::vector<std::string>(2));
}

TEST_CASE("a rank that ends makes the others stop at once, and they name it") {
  const auto start = std::chrono::steady_clock::now();
  const auto failures = run_ranks(
      3,
      [](ProcessGroup& group) {
        if (group.rank() == 2) fail("test", "its own trouble");
        for (int i = 0; i < 1000; ++i) group.sum(1);
      },
      milliseconds(120000));
  CHECK(failures[2] == "[test] its own trouble");
  for (const int rank : {0, 1}) {
    INFO(failures[rank]);
    CHECK_THAT(failures[rank], Catch::Contains("rank 2 has ended"));
  }
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(60));
}

TEST_CASE("when rank 0 ends, which keeps the store, the others name it") {
  const auto failures = run_ranks(
      2,
      [](ProcessGroup& group) {
        if (group.rank() == 0) fail("test", "its own trouble");
        group.sum(1);
      },
      milliseconds(4000));
  CHECK_THAT(failures[1], Catch::Contains("rank 0 has died or ended"));
}

TEST_CASE("a rank that does not come in time is named") {
  const auto failures = run_ranks(
      3,
      [](ProcessGroup& group) {
        if (group.rank() == 1) std::this_thread::sleep_for(std::chrono::seconds(3));
        group.sum(1);
      },
      milliseconds(1500));
  for (const int rank : {0, 2}) {
    INFO(failures[rank]);
    CHECK_THAT(failures[rank], Catch::Contains("rank 1 lives but did not come in time"));
  }
}

TEST_CASE("ranks that never start are named") {
  const LaunchEnvironment place = local_place(0, 3);
  CHECK_THROWS_WITH(ProcessGroup(place, {.timeout = milliseconds(300)}),
                    Catch::Contains("rank 1, 2 of 3 has not come"));
}

TEST_CASE("a rank that cannot reach rank 0 says where it looked") {
  LaunchEnvironment place = local_place(1, 2);
  place.master_port = 1;
  CHECK_THROWS_WITH(ProcessGroup(place, {.timeout = milliseconds(300)}),
                    Catch::Contains("rank 1") && Catch::Contains("127.0.0.1:1"));
}

TEST_CASE("ranks with different inputs are told apart") {
  const auto failures = run_ranks(3, [](ProcessGroup& group) {
    group.require_same("seed", "1");
    group.require_same("rows", group.rank() == 2 ? "b" : "a");
  });
  for (const std::string& failure : failures)
    CHECK_THAT(failure, Catch::Contains("rows of rank 2 is b, of rank 0 a"));
}
