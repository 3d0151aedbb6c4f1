// SPDX-License-Identifier: Apache-2.0
//
// Which programs are known by their names.
#include <pthread.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <thread>

#include "fs/shield.hpp"

using namespace nacre;

namespace {

// The answer for a thread of that name in this process.
bool covers(const Shield& shield, const char* name) {
  bool covered = false;
  std::thread thread([&] {
    ::pthread_setname_np(::pthread_self(), name);
    covered = shield.covers(::gettid());
  });
  thread.join();
  return covered;
}

}  // namespace

TEST_CASE("a program is known by its own name, or that of its thread", "[shield]") {
  const Shield by_process({"fs_test"}), by_thread({"pool-worker"}), neither({"tumblerd"});
  CHECK(by_process.covers(::getpid()));
  CHECK(covers(by_process, "pool-worker"));
  CHECK(covers(by_thread, "pool-worker"));
  CHECK_FALSE(by_thread.covers(::getpid()));
  CHECK_FALSE(covers(neither, "pool-worker"));
}

TEST_CASE("a name counts as far as the kernel keeps it", "[shield]") {
  CHECK(covers(Shield({"baloo_file_extractor"}), "baloo_file_extr"));
  CHECK(covers(Shield(usual_shield()), "tracker-miner-f"));
  CHECK_FALSE(covers(Shield({"baloo_file_extractor"}), "baloo_file"));
}

TEST_CASE("nobody is shielded by no names, or when he is gone", "[shield]") {
  CHECK_FALSE(Shield({}).covers(::getpid()));
  CHECK_FALSE(Shield({""}).covers(0));
  CHECK_FALSE(Shield(usual_shield()).covers(0x7fffffff));
}
