// SPDX-License-Identifier: Apache-2.0
//
// Mounted trees on one library, without the kernel between: what one writes the
// other sees, also after it was killed.
#include <random>

#include "machine.hpp"

using namespace nacre;
using namespace nacre::test;
using Tree = FileTree;

TEST_CASE("what one machine writes, another reads", "[sync]") {
  const char* password = GENERATE(static_cast<const char*>(nullptr), "opensesame");
  Cloud cloud(password);
  Machine here(cloud, "here", password), there(cloud, "there", password);
  here.mkdir("docs");
  here.write("docs/letter.txt", "dear all");
  here.write("run.sh", "#!/bin/sh\n", 0755);
  here.write("empty", "");
  here.sync();
  there.sync();
  CHECK(there.tree() == Tree{{"docs", "/"},
                             {"docs/letter.txt", "dear all"},
                             {"empty", ""},
                             {"run.sh", "#!/bin/sh\n"}});
  CHECK((there.fs().getattr(there.walk("run.sh")).st.st_mode & 0111) == 0111);
  CHECK((there.fs().getattr(there.walk("empty")).st.st_mode & 0111) == 0);

  there.write("docs/letter.txt", "dear all, and you");
  there.sync();
  here.sync();
  CHECK(here.read("docs/letter.txt") == "dear all, and you");
}

TEST_CASE("what was closed survives a killed daemon, and is sent after it", "[sync]") {
  Cloud cloud;
  Machine here(cloud, "here"), there(cloud, "there");
  here.write("old", "published");
  here.sync();
  here.write("old", "changed");
  here.mkdir("folder");
  here.write("folder/new", std::string(300'000, 'n'));
  here.unlink("old");
  here.write("moved", "m");
  here.rename("moved", "folder/moved");
  const auto before = here.tree();
  here.crash();
  here.mount();
  CHECK(here.tree() == before);
  here.sync();
  there.sync();
  CHECK(there.tree() == before);
}

TEST_CASE("a small budget of memory for writing changes nothing but speed", "[sync]") {
  Cloud cloud("pass word");
  Machine here(cloud, "here", "pass word", 256U << 10U), there(cloud, "there", "pass word");
  std::string text(3'000'000, ' ');
  std::mt19937 random(1);
  std::ranges::generate(text, [&] { return static_cast<char>(random()); });
  here.write("big", text);
  CHECK(here.read("big") == text);
  const auto file = here.fs().open(here.walk("big"), O_RDWR).handle;
  for (int i = 0; i < 200; ++i) {
    const auto at = random() % 2'990'000;
    const std::string piece(random() % 9000, static_cast<char>(i));
    text.replace(at, piece.size(), piece);
    here.fs().write(file, at, as_bytes(piece));
  }
  here.fs().release(file);
  CHECK(here.read("big") == text);
  here.sync();
  CHECK(here.read("big") == text);
  there.sync();
  CHECK(there.read("big") == text);
}

TEST_CASE("a truncated file is zeros where it was cut and made longer again", "[sync]") {
  Cloud cloud;
  Machine here(cloud, "here");
  here.write("f", std::string(500'000, 'x'));
  if (GENERATE(false, true)) here.sync();
  SetAttr change;
  change.size = 200'001;
  here.fs().setattr(here.walk("f"), change);
  change.size = 400'000;
  here.fs().setattr(here.walk("f"), change);
  const auto expected = std::string(200'001, 'x') + std::string(199'999, '\0');
  CHECK(here.read("f") == expected);
  here.crash();
  here.mount();
  CHECK(here.read("f") == expected);
  here.sync();
  CHECK(here.read("f") == expected);
}
