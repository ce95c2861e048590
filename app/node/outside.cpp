#include "app/node/outside.hpp"

#include "app/node/log.hpp"
#include "bridges/carrier/carrier.hpp"
#include "bridges/notices/mail.hpp"
#include "bridges/notices/office.hpp"
#include "bridges/notices/webhook.hpp"
#include "bridges/payment/gateway.hpp"

namespace cartwright::node {
namespace {

curl::JsonServer server_of(const options::Outside& outside) { return {outside.url, outside.key, outside.timeout}; }

notices::Templates templates_of(const options::Options& options, std::string& fault) {
  notices::Templates templates;
  if (!options.notices.templates.empty()) fault = templates.load(options.notices.templates);
  return templates;
}

std::map<std::string, notices::Channel> channels_of(curl::Client& client, const options::Notices& notices,
                                                    const WallClock& clock) {
  std::map<std::string, notices::Channel> channels;
  auto lane = [&](const std::string& name, std::int64_t rate) {
    return client.lane({name, notices.connections, 1000, static_cast<double>(rate)});
  };
  if (!notices.smtp_url.empty())
    channels["email"] = notices::mail_channel(
        lane("email", notices.email_rate),
        {notices.smtp_url, notices.from, notices.user, notices.password, notices.timeout}, clock);
  auto hook = [&](const std::string& name, const std::string& url, std::int64_t rate) {
    if (!url.empty())
      channels[name] = notices::webhook_channel(
          lane(name, rate), {url, notices.webhook_key, notices.webhook_secret, notices.timeout}, clock);
  };
  hook("sms", notices.sms_url, notices.sms_rate);
  hook("push", notices.push_url, notices.push_rate);
  return channels;
}

}  // namespace

std::string fault_of_files(const options::Options& options) {
  std::string fault;
  (void)templates_of(options, fault);
  if (!fault.empty()) return "notification.templates: " + fault;
  fault = curl::fault_of_ca_file(options.outside_ca_file);
  return fault.empty() ? fault : "outside.ca-file: " + fault;
}

OutsidePorts spawn_outside(caf::actor_system& system, const options::Options& options, ReaderActor notices,
                           std::shared_ptr<const Codec> codec, WallClock clock) {
  OutsidePorts ports;
  curl::ClientOptions client;
  client.agent = std::string("cartwright/") + CARTWRIGHT_VERSION;
  client.ca_file = options.outside_ca_file;
  client.state = [](const std::string& lane, const std::string& trouble) {
    if (trouble.empty())
      log(Level::info, "outside-well", lane + " answers again", {{"server", lane}});
    else
      log(Level::warn, "outside-trouble", lane + ": " + trouble, {{"server", lane}});
  };
  ports.client = std::make_shared<curl::Client>(std::move(client));
  if (contains(options.roles, RoleId::payment) && !options.gateway.url.empty())
    ports.gateway = curl::spawn_port(system, ports.client->lane({"gateway", options.gateway.connections}),
                                     payment_http::gateway(server_of(options.gateway)));
  if (contains(options.roles, RoleId::shipping) && !options.carrier.url.empty())
    ports.carrier = curl::spawn_port(system, ports.client->lane({"carrier", options.carrier.connections}),
                                     carrier_http::carrier(server_of(options.carrier)));
  auto channels = channels_of(*ports.client, options.notices, clock);
  std::string fault;  // looked at before: fault_of_files
  if (contains(options.roles, RoleId::notification) && !channels.empty())
    ports.notices = notices::spawn_office(
        system, {std::move(notices), std::move(codec), templates_of(options, fault), std::move(channels)});
  return ports;
}

}  // namespace cartwright::node
