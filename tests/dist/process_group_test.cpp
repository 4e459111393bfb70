// Groups whose ranks are threads of the test: sockets and collectives are the real ones.
#include "reflect/dist/process_group.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <optional>

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
    for (int time = 0; time < 3; ++time) {
      const auto text_of = [&](int rank) {
        return std::string(static_cast<std::size_t>(rank), static_cast<char>('a' + time));
      };
      const std::vector<std::string> texts = group.all_texts(text_of(group.rank()));
      require(std::ssize(texts) == size, "texts");
      for (int r = 0; r < size; ++r) require(texts[r] == text_of(r), "text");
    }
    require(group.from_rank_0([] { return "made"; }) == "made", "from_rank_0");
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

TEST_CASE("groups of some ranks work beside the group of all") {
  const auto failures = run_ranks(4, [](ProcessGroup& group) {
    ProcessGroup pair = group.split(2);
    require(pair.size() == 2 && pair.rank() == group.rank() % 2, "place");
    const at::Tensor parts = at::zeros({2});
    Collective gather = pair.all_gather(parts, at::full({1}, group.rank()));
    require(group.sum(group.rank()) == 6, "sum of all");
    gather.wait();
    const int first = group.rank() / 2 * 2;
    require(parts[0].item<int>() == first && parts[1].item<int>() == first + 1, "gather of a pair");
    require(pair.split(2).size() == 2 && group.split(1).size() == 1, "sizes");
    require(group.split(2).sum(1) == 2, "a second split");
    try {
      group.split(3);
    } catch (const Error& error) {
      require(error.exit_code() == ExitCode::kUsage, error.what());
      return;
    }
    require(false, "groups of 3 among 4");
  });
  CHECK(failures == std::vector<std::string>(4));
}

TEST_CASE("a group of some ranks names the one that ended as the job does") {
  std::atomic<bool> over = false;
  struct AtEnd {
    std::atomic<bool>& flag;
    ~AtEnd() { flag = true; }
  };
  const auto failures = run_ranks(
      4,
      [&](ProcessGroup& group) {
        std::optional<AtEnd> end;
        if (group.rank() == 2) end.emplace(over);
        ProcessGroup pair = group.split(2);
        if (group.rank() == 3) fail("test", "its own trouble");
        // Rank 0 keeps the store in which the others look each other up.
        while (group.rank() < 2 && !over) std::this_thread::sleep_for(milliseconds(20));
        if (group.rank() == 2) pair.sum(1);
      },
      milliseconds(120000));
  INFO(failures[2]);
  CHECK_THAT(failures[2],
             Catch::Contains("failed on rank 2 of 4") && Catch::Contains("rank 3 has ended"));
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

TEST_CASE("a rank that is late is waited for beyond the time-out where that is asked for") {
  const auto failures = run_ranks(
      2,
      [](ProcessGroup& group) {
        if (group.rank() == 1) std::this_thread::sleep_for(std::chrono::seconds(3));
        const std::vector<std::string> texts =
            group.all_texts(group.rank() == 0 ? "early" : "late");
        require(texts == std::vector<std::string>{"early", "late"}, "texts");
      },
      milliseconds(1500));
  CHECK(failures == std::vector<std::string>(2));
}

TEST_CASE("a rank that ends is not waited for") {
  const auto failures = run_ranks(3, [](ProcessGroup& group) {
    if (group.rank() == 1) fail("test", "its own trouble");
    group.wait_for_all();
  });
  for (const int rank : {0, 2}) {
    INFO(failures[rank]);
    CHECK_THAT(failures[rank], Catch::Contains("rank 1 has ended"));
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
    group.require_same({{"seed", "1"}});
    group.require_same({{"seed", "1"}, {"rows", group.rank() == 2 ? "b" : "a"}, {"x", "y"}});
  });
  for (const std::string& failure : failures)
    CHECK_THAT(failure, Catch::Contains("rows of rank 2 is b, of rank 0 a"));
}
