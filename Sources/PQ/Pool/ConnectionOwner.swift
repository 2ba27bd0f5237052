/// An owner of connections to database servers.
///
/// It drops the connections to a server that has fallen silent. ``PoolGroup`` calls it on the thread of its reactor.
protocol ConnectionOwner: AnyObject, Sendable {
    /// The reactor of its connections.
    var reactor: Reactor { get }
    /// The last time at which something arrived from a server.
    ///
    /// Nil without a connection to it.
    func heard(from server: ServerAddress) -> ContinuousClock.Instant?
    /// Ends all connections to a server.
    ///
    /// When it returns, none of them will be lent. Operations in progress fail.
    func drop(_ server: ServerAddress)
}
