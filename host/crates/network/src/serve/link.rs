//! The interface as this process sees it: packets come and go by one descriptor.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::{Errno, read, write};
use smoltcp::phy::{Checksum, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use smoltcp::wire::{IpProtocol, checksum};

use super::interface::MTU;
use super::packet;

/// `struct virtio_net_hdr`, before each packet in both directions.
const HEADER: usize = 10;
/// Its flag that the checksum is to be completed by the kernel, which need not do it unless the packet leaves the host.
const NEEDS_CHECKSUM: u8 = 1;
/// The most that headers of IP and of what is in it take.
const MOST_HEADERS: usize = 128;

#[derive(Debug)]
pub(super) struct Link {
    device: OwnedFd,
    outgoing: Box<[u8]>,
}

impl Link {
    pub(super) fn new(device: OwnedFd) -> Self {
        Self { device, outgoing: vec![0; HEADER + MTU].into() }
    }

    /// A buffer for [`Link::receive`].
    pub(super) fn buffer() -> Box<[u8]> {
        vec![0; HEADER + MTU].into()
    }

    /// The next packet that the container sent, if there is one. Its checksums may be missing.
    pub(super) fn receive<'a>(&self, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
        loop {
            match read(&self.device, &mut *buffer) {
                Ok(size) => return buffer.get(HEADER..size),
                Err(Errno::INTR) => {}
                Err(_) => return None,
            }
        }
    }

    /// Sends a packet of `size` bytes that `fill` writes: IP with a checksum, TCP and UDP without. What the kernel does
    /// not take is lost, as on any link.
    pub(super) fn send<R>(&mut self, size: usize, fill: impl FnOnce(&mut [u8]) -> R) -> R {
        let size = size.min(MTU);
        let (header, packet) = self.outgoing[..HEADER + size].split_at_mut(HEADER);
        // Headers are not always written whole.
        packet[..size.min(MOST_HEADERS)].fill(0);
        let result = fill(packet);
        header.fill(0);
        if let Some((start, offset)) = leave_checksum(packet) {
            header[0] = NEEDS_CHECKSUM;
            header[6..8].copy_from_slice(&start.to_ne_bytes());
            header[8..10].copy_from_slice(&offset.to_ne_bytes());
        }
        while write(&self.device, &self.outgoing[..HEADER + size]) == Err(Errno::INTR) {}
        result
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

/// Prepares the checksum of a TCP or UDP packet for the kernel: where what is to be summed begins, and where in it the
/// sum goes.
fn leave_checksum(bytes: &mut [u8]) -> Option<(u16, u16)> {
    let packet = packet::parse(bytes)?;
    let offset = match packet.protocol {
        IpProtocol::Tcp => 16,
        IpProtocol::Udp => 6,
        _ => return None,
    };
    let length = packet.payload.len();
    let start = bytes.len() - length;
    let (from, to) = (packet.from.into(), packet.to.into());
    let sum = checksum::pseudo_header(&from, &to, packet.protocol, u32::try_from(length).ok()?);
    bytes.get_mut(start + offset..start + offset + 2)?.copy_from_slice(&sum.to_be_bytes());
    Some((u16::try_from(start).ok()?, u16::try_from(offset).ok()?))
}

/// The link as one connection's TCP sees it: with one packet that came for it, or none.
pub(super) struct Exchange<'a> {
    link: &'a mut Link,
    incoming: Option<&'a [u8]>,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(link: &'a mut Link, incoming: Option<&'a [u8]>) -> Self {
        Self { link, incoming }
    }
}

impl Device for Exchange<'_> {
    type RxToken<'a>
        = Incoming<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Outgoing<'a>
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Incoming<'_>, Outgoing<'_>)> {
        Some((Incoming(self.incoming.take()?), Outgoing(self.link)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Outgoing<'_>> {
        Some(Outgoing(self.link))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = MTU;
        capabilities.checksum.tcp = Checksum::None;
        capabilities.checksum.ipv4 = Checksum::Tx;
        capabilities
    }
}

pub(super) struct Incoming<'a>(&'a [u8]);

impl RxToken for Incoming<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(self.0)
    }
}

pub(super) struct Outgoing<'a>(&'a mut Link);

impl TxToken for Outgoing<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, size: usize, fill: F) -> R {
        self.0.send(size, fill)
    }
}
