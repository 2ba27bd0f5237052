/// The times of the pings that find a server that has fallen silent.
struct PingSettings: Sendable {
    /// The time until a running operation triggers a ping.
    ///
    /// Also the pause before the next ping.
    var after: Duration = .seconds(5)
    /// The time that the server has to respond to a ping.
    ///
    /// Even an overloaded server responds within seconds: a ping needs neither a login nor a free connection.
    var timeout: Duration = .seconds(10)
}
