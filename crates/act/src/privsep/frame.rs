//! Frames: four octets of length, the most significant first, and so many octets of JSON. Bounded before anything is read.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// No order is longer: the revocation list of a CA that revoked twenty-five thousand fits, in hexadecimal.
pub const ORDER_MAX: usize = 2 * 1024 * 1024;
/// No answer is longer.
pub const ANSWER_MAX: usize = 1024 * 1024;

/// Reads one frame.
///
/// # Errors
/// It is longer than `most` (`InvalidData`), or ends in the middle (`UnexpectedEof`).
pub async fn read<R: AsyncRead + Unpin>(from: &mut R, most: usize) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length).await?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > most {
        let said = format!("a frame of {length} octets, and {most} are the most");
        return Err(io::Error::new(io::ErrorKind::InvalidData, said));
    }
    // Grows with what comes, not with what was promised.
    let mut body = Vec::new();
    from.take(length as u64).read_to_end(&mut body).await?;
    if body.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(body)
}

/// Writes one frame.
///
/// # Errors
/// It is longer than a length can say; what the other side does.
pub async fn write<W: AsyncWrite + Unpin>(to: &mut W, body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    let mut frame = Vec::with_capacity(4 + body.len());
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(body);
    to.write_all(&frame).await?;
    to.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_all(bytes: &[u8]) -> io::Result<Vec<u8>> {
        read(&mut &*bytes, 10).await
    }

    #[tokio::test]
    async fn whole_half_and_too_long() {
        let mut sent = Vec::new();
        write(&mut sent, b"hello").await.expect("written");
        assert_eq!(read_all(&sent).await.expect("read"), b"hello");
        assert_eq!(read_all(&[0, 0, 0, 0]).await.expect("read"), b"");
        for cut in 0..sent.len() {
            let half = read_all(&sent[..cut]).await.expect_err("half of one");
            assert_eq!(half.kind(), io::ErrorKind::UnexpectedEof, "{cut}");
        }
        for long in [[0, 0, 0, 11], [0xff; 4]] {
            assert_eq!(read_all(&long).await.expect_err("too long").kind(), io::ErrorKind::InvalidData);
        }
    }
}
