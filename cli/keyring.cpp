// SPDX-License-Identifier: Apache-2.0
#include "cli/keyring.hpp"

#include <libsecret/secret.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>
#include <utility>

#include "base/bytes.hpp"
#include "base/log.hpp"

namespace nacre::keyring {
namespace {

struct Unref {
  void operator()(void* object) const noexcept { g_object_unref(object); }
  void operator()(GHashTable* table) const noexcept { g_hash_table_unref(table); }
  void operator()(SecretSchema* schema) const noexcept { secret_schema_unref(schema); }
  void operator()(SecretValue* value) const noexcept { secret_value_unref(value); }
};
template <class T>
using Held = std::unique_ptr<T, Unref>;

// Of a call that may fail; says why.
class Failure {
 public:
  Failure() = default;
  Failure(const Failure&) = delete;
  Failure& operator=(const Failure&) = delete;
  ~Failure() { g_clear_error(&error_); }

  GError** slot() noexcept { return &error_; }
  [[nodiscard]] std::string text(const char* otherwise) const {
    return error_ == nullptr ? otherwise : error_->message;
  }

 private:
  GError* error_ = nullptr;
};

// Where none is named, GLib would start one of its own.
bool has_session_bus() {
  const char* address = std::getenv("DBUS_SESSION_BUS_ADDRESS");
  if (address != nullptr && *address != '\0') return std::string_view(address) != "disabled:";
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  struct stat st = {};
  return runtime != nullptr && ::stat((std::string(runtime) + "/bus").c_str(), &st) == 0;
}

// What a bus or a service that says nothing is given up by.
class Patience {
 public:
  GCancellable* token() noexcept { return cancellable_.get(); }

 private:
  static constexpr std::chrono::seconds most{5};

  Held<GCancellable> cancellable_{g_cancellable_new()};
  std::mutex mutex_;
  std::condition_variable_any ended_;
  std::jthread timer_{[this](const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    ended_.wait_for(lock, stop, most, [] { return false; });
    if (!stop.stop_requested()) g_cancellable_cancel(cancellable_.get());
  }};
};

struct Keyring {
  Held<SecretService> service;
  std::string missing;  // empty: it is there
};

Keyring open(Patience& patience) {
  static std::atomic<bool> silent = false;  // it is not waited for again
  if (!has_session_bus()) return {nullptr, "no session bus"};
  if (silent) return {nullptr, "it does not answer"};
  struct Notice {
    Patience& patience;
    ~Notice() { silent = g_cancellable_is_cancelled(patience.token()) != FALSE; }
  } const notice{patience};
  Failure failure;
  const Held<GDBusConnection> bus(
      g_bus_get_sync(G_BUS_TYPE_SESSION, patience.token(), failure.slot()));
  if (!bus) return {nullptr, failure.text("no session bus")};
  g_dbus_connection_set_exit_on_close(bus.get(), FALSE);  // a mount outlives the session
  Held<SecretService> service(
      secret_service_get_sync(SECRET_SERVICE_OPEN_SESSION, patience.token(), failure.slot()));
  if (!service) return {nullptr, failure.text("no Secret Service answers")};
  const Held<SecretCollection> collection(
      secret_collection_for_alias_sync(service.get(), SECRET_COLLECTION_DEFAULT,
                                       SECRET_COLLECTION_NONE, patience.token(), failure.slot()));
  if (!collection) return {nullptr, failure.text("the Secret Service has no keyring")};
  if (secret_collection_get_locked(collection.get()) != FALSE)
    return {nullptr, "the keyring is locked"};
  return {std::move(service), {}};
}

Held<SecretSchema> schema() {
  return Held<SecretSchema>(secret_schema_new(
      "org.nacre.Secret", SECRET_SCHEMA_NONE, "what", SECRET_SCHEMA_ATTRIBUTE_STRING, "account",
      SECRET_SCHEMA_ATTRIBUTE_STRING, "of", SECRET_SCHEMA_ATTRIBUTE_STRING, "name",
      SECRET_SCHEMA_ATTRIBUTE_STRING, nullptr));
}

Held<GHashTable> attributes(const Item& item) {
  Held<GHashTable> table(g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free));
  const auto add = [&](const char* key, const std::string& value) {
    if (!value.empty()) g_hash_table_insert(table.get(), g_strdup(key), g_strdup(value.c_str()));
  };
  add("what", item.what);
  add("account", item.account);
  add("of", item.of);
  add("name", item.name);
  return table;
}

}  // namespace

std::string why_not() {
  Patience patience;
  return open(patience).missing;
}

bool store(const Item& item, const std::string& label, const Secret& secret) {
  Patience patience;
  const auto [service, missing] = open(patience);
  if (!service) return false;
  const auto bytes = secret.bytes();
  const Held<SecretValue> value(secret_value_new(reinterpret_cast<const char*>(bytes.data()),
                                                 static_cast<gssize>(bytes.size()),
                                                 "application/octet-stream"));
  Failure failure;
  const bool stored =
      secret_service_store_sync(service.get(), schema().get(), attributes(item).get(),
                                SECRET_COLLECTION_DEFAULT, label.c_str(), value.get(),
                                patience.token(), failure.slot()) != FALSE;
  if (!stored) log::warning("keyring: " + failure.text("it does not take it"));
  return stored;
}

std::optional<Secret> find(const Item& item) {
  Patience patience;
  const auto [service, missing] = open(patience);
  if (!service) return std::nullopt;
  Failure failure;
  GList* items =
      secret_service_search_sync(service.get(), schema().get(), attributes(item).get(),
                                 SECRET_SEARCH_LOAD_SECRETS, patience.token(), failure.slot());
  std::optional<Secret> found;
  if (items != nullptr) {
    const Held<SecretValue> value(secret_item_get_secret(static_cast<SecretItem*>(items->data)));
    gsize size = 0;
    const auto* text = value ? secret_value_get(value.get(), &size) : nullptr;
    if (text != nullptr)
      found = Secret::copy_of({reinterpret_cast<const std::uint8_t*>(text), size});
  }
  g_list_free_full(items, g_object_unref);
  return found;
}

bool erase(const Item& item) {
  Patience patience;
  const auto [service, missing] = open(patience);
  if (!service) return false;
  Failure failure;
  return secret_service_clear_sync(service.get(), schema().get(), attributes(item).get(),
                                   patience.token(), failure.slot()) != FALSE;
}

}  // namespace nacre::keyring
